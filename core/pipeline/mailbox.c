/*
 * mailbox.c - see mailbox.h. A ring of the last commands; one that nobody has done yet is never
 * overwritten.
 */
#include "pipeline/mailbox.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cdc/clock.h"

struct cdc_mailbox {
    pthread_mutex_t lock;
    struct cdc_mail ring[CDC_MAILBOX]; /* number n is at (n - 1) % CDC_MAILBOX */
    uint64_t last;                     /* number of the newest; 0: none yet */
};

struct cdc_mailbox *cdc_mailbox_new(void)
{
    struct cdc_mailbox *box = calloc(1, sizeof *box);
    if (box)
        pthread_mutex_init(&box->lock, NULL);
    return box;
}

void cdc_mailbox_free(struct cdc_mailbox *box)
{
    if (!box)
        return;
    pthread_mutex_destroy(&box->lock);
    free(box);
}

static struct cdc_mail *mail_of(struct cdc_mailbox *box, uint64_t id)
{
    return &box->ring[(id - 1) % CDC_MAILBOX];
}

static uint64_t first(const struct cdc_mailbox *box)
{
    return box->last > CDC_MAILBOX ? box->last - CDC_MAILBOX + 1 : 1;
}

static bool settled(const struct cdc_mail *mail)
{
    return mail->id == 0 || mail->state >= CDC_MAIL_DONE;
}

int cdc_mailbox_post(struct cdc_mailbox *box, enum cdc_command_kind command, const char *table,
                     uint64_t *ret_id)
{
    struct cdc_mail mail = {.command = command, .posted_us = cdc_now_us()};
    const char *dot = table ? strchr(table, '.') : NULL;
    if (!dot || dot == table || !dot[1] || strlen(table) >= sizeof mail.table)
        return CDC_END;
    snprintf(mail.table, sizeof mail.table, "%s", table);
    pthread_mutex_lock(&box->lock);
    struct cdc_mail *at = mail_of(box, box->last + 1);
    int rc = settled(at) ? CDC_OK : CDC_FULL;
    if (rc == CDC_OK) {
        mail.id = *ret_id = ++box->last;
        *at = mail;
    }
    pthread_mutex_unlock(&box->lock);
    return rc;
}

int cdc_mailbox_take(struct cdc_mailbox *box, struct cdc_mail *ret)
{
    int rc = CDC_AGAIN;
    pthread_mutex_lock(&box->lock);
    for (uint64_t id = first(box); rc == CDC_AGAIN && id <= box->last; id++) {
        struct cdc_mail *mail = mail_of(box, id);
        if (mail->state != CDC_MAIL_WAITING)
            continue;
        mail->state = CDC_MAIL_TAKEN;
        *ret = *mail;
        rc = CDC_OK;
    }
    pthread_mutex_unlock(&box->lock);
    return rc;
}

void cdc_mailbox_back(struct cdc_mailbox *box, uint64_t id)
{
    pthread_mutex_lock(&box->lock);
    struct cdc_mail *mail = mail_of(box, id);
    if (mail->id == id && mail->state == CDC_MAIL_TAKEN)
        mail->state = CDC_MAIL_WAITING;
    pthread_mutex_unlock(&box->lock);
}

void cdc_mailbox_settle(struct cdc_mailbox *box, uint64_t id, int rc, const char *fmt, ...)
{
    char outcome[sizeof box->ring[0].outcome];
    va_list args;
    va_start(args, fmt);
    vsnprintf(outcome, sizeof outcome, fmt, args);
    va_end(args);
    pthread_mutex_lock(&box->lock);
    for (size_t i = 0; i < CDC_MAILBOX; i++) {
        struct cdc_mail *mail = &box->ring[i];
        if (mail->state != CDC_MAIL_TAKEN || (id != CDC_MAIL_ALL && mail->id != id))
            continue;
        mail->state = rc == CDC_OK ? CDC_MAIL_DONE : CDC_MAIL_FAILED;
        mail->settled_us = cdc_now_us();
        memcpy(mail->outcome, outcome, sizeof outcome);
    }
    pthread_mutex_unlock(&box->lock);
}

void cdc_mailbox_reopen(struct cdc_mailbox *box)
{
    pthread_mutex_lock(&box->lock);
    for (uint64_t id = first(box); id <= box->last; id++)
        if (mail_of(box, id)->state == CDC_MAIL_TAKEN)
            mail_of(box, id)->state = CDC_MAIL_WAITING;
    pthread_mutex_unlock(&box->lock);
}

size_t cdc_mailbox_list(struct cdc_mailbox *box, struct cdc_mail ret[CDC_MAILBOX])
{
    size_t n = 0;
    pthread_mutex_lock(&box->lock);
    for (uint64_t id = box->last; id > 0 && id >= first(box); id--)
        ret[n++] = *mail_of(box, id);
    pthread_mutex_unlock(&box->lock);
    return n;
}

const char *cdc_command_name(enum cdc_command_kind command)
{
    static const char *const names[] = {"pause", "resume", "snapshot"};
    return names[command];
}

const char *cdc_mail_state_name(enum cdc_mail_state state)
{
    static const char *const names[] = {"waiting", "taken", "done", "failed"};
    return names[state];
}
