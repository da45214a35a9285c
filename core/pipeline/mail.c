/*
 * mail.c - carries out commands (pipeline/mailbox.h) on the sink thread, between two batches.
 *
 * A pause or resume becomes part of the pending delta and is told as done when that is committed:
 * what the mailbox says has happened outlives a crash. A session that ends before leaves it to the
 * next one, which finds it undone, or done and nothing left to do.
 */
#include "pipeline/session.h"

#include <stdio.h>

#include "cdc/clock.h"

#define ASKED_US ((int64_t)10000000) /* a command waits so long for the source's answer */

/*
 * A copy that is asked for is under way once its state is committed; a crash before forgets it, and
 * so does the mailbox.
 */
static int repeat_copy(struct cdc_outlet *out, const struct cdc_mail *mail, struct cdc_error *err)
{
    struct cdc_mailbox *box = out->run->mailbox;
    char schema[sizeof mail->table];
    const char *dot = strchr(mail->table, '.');
    snprintf(schema, sizeof schema, "%.*s", (int)(dot - mail->table), mail->table);
    bool taken = cdc_capture_match(out->run->set->config.capture, schema, dot + 1) != NULL;
    int rc = taken && out->run->copier ? cdc_copier_repeat(out->run->copier, mail->table) : CDC_END;
    if (rc == CDC_OK)
        cdc_mailbox_settle(box, mail->id, CDC_OK, "it is copied anew; the status shows how far");
    else if (rc == CDC_AGAIN)
        cdc_mailbox_settle(box, mail->id, CDC_OK, "it is being copied already");
    else if (rc == CDC_END)
        cdc_mailbox_settle(box, mail->id, CDC_FAIL,
                           !taken             ? "no rule captures a table of this name"
                           : out->run->copier ? "it is paused: resume copies it anew"
                                              : "this source cannot copy tables");
    return rc < 0 ? cdc_fail_oom(err) : CDC_OK;
}

/* The source is asked which tables it has. False: it has not answered for too long. */
static bool may_wait(struct cdc_outlet *out, const struct cdc_mail *mail)
{
    struct cdc_mailbox *box = out->run->mailbox;
    bool may = cdc_now_us() - mail->posted_us < ASKED_US;
    if (may)
        cdc_mailbox_back(box, mail->id);
    else
        cdc_mailbox_settle(box, mail->id, CDC_FAIL,
                           "the source has not said yet whether there is such a table: try again");
    return may;
}

static int carry_out(struct cdc_outlet *out, const struct cdc_mail *mail, struct cdc_error *err)
{
    bool pause = mail->command == CDC_COMMAND_PAUSE;
    if (mail->command == CDC_COMMAND_SNAPSHOT)
        return repeat_copy(out, mail, err);
    int rc = pause ? cdc_pause(out, mail->table, NULL, "by a command", err)
                   : cdc_resume(out, mail->table, err);
    if (rc == CDC_OK)
        out->urgent = true; /* a commit; cdc_mail_committed settles it */
    else if (rc == CDC_AGAIN)
        cdc_mailbox_settle(out->run->mailbox, mail->id, CDC_OK, "it is paused already");
    else if (rc == CDC_END)
        cdc_mailbox_settle(out->run->mailbox, mail->id, CDC_FAIL,
                           pause ? "no table of this name has been captured yet"
                                 : "it is not paused");
    return rc < 0 ? CDC_FAIL : CDC_OK;
}

int cdc_mail_serve(struct cdc_outlet *out, struct cdc_error *err)
{
    struct cdc_mailbox *box = out->run->mailbox;
    struct cdc_mail mail;
    out->mail_waits = false;
    while (box && cdc_mailbox_take(box, &mail) == CDC_OK) {
        bool waits = mail.command == CDC_COMMAND_PAUSE && cdc_pause_waits(out, mail.table);
        if (waits && may_wait(out, &mail)) {
            out->mail_waits = true;
            return CDC_OK;
        }
        if (!waits && carry_out(out, &mail, err) < 0)
            return CDC_FAIL;
    }
    return CDC_OK;
}

void cdc_mail_committed(struct cdc_outlet *out)
{
    if (out->run->mailbox)
        cdc_mailbox_settle(out->run->mailbox, CDC_MAIL_ALL, CDC_OK, "committed");
}
