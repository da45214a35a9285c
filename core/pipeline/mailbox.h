/*
 * mailbox.h - commands to a running pipeline: posted by the HTTP thread, done by the engine.
 *
 * The model. A post gives the command a number and leaves it `waiting`; the engine takes commands
 * one by one, in order, does them at a place of its own choosing, and settles each with an outcome.
 * The last CDC_MAILBOX commands can be read back by anybody. Nobody waits for anybody.
 *
 *     waiting ──take──▶ taken ──settle──▶ done | failed
 *
 * A command that was taken in a session that ended before it was settled is taken again by the
 * next (cdc_mailbox_reopen): carrying one out twice must do no harm.
 *
 * Threads: any. Ownership: texts are copied.
 */
#ifndef CDC_MAILBOX_H
#define CDC_MAILBOX_H

#include "cdc/buf.h"

#define CDC_MAILBOX 32

enum cdc_command_kind { CDC_COMMAND_PAUSE, CDC_COMMAND_RESUME, CDC_COMMAND_SNAPSHOT, CDC_COMMANDS };
enum cdc_mail_state { CDC_MAIL_WAITING, CDC_MAIL_TAKEN, CDC_MAIL_DONE, CDC_MAIL_FAILED };

struct cdc_mail {
    uint64_t id; /* from 1 */
    enum cdc_command_kind command;
    enum cdc_mail_state state;
    char table[256];               /* schema.name */
    char outcome[256];             /* for people; "" until it is settled */
    int64_t posted_us, settled_us; /* wall clock; 0: not yet */
};

struct cdc_mailbox;

struct cdc_mailbox *cdc_mailbox_new(void);      /* NULL: no memory */
void cdc_mailbox_free(struct cdc_mailbox *box); /* NULL is fine */

/*
 * CDC_FULL: CDC_MAILBOX commands wait already. CDC_END: no table can have this name (empty, too
 * long, no dot). *ret_id is written with CDC_OK.
 */
CDC_CHECK int cdc_mailbox_post(struct cdc_mailbox *box, enum cdc_command_kind command,
                               const char *table, uint64_t *ret_id);
/* The next waiting one, a copy. CDC_AGAIN: none. */
CDC_CHECK int cdc_mailbox_take(struct cdc_mailbox *box, struct cdc_mail *ret);
/* It cannot be done yet: it is taken again, before those behind it. */
void cdc_mailbox_back(struct cdc_mailbox *box, uint64_t id);
/* How it ended: CDC_OK done, else failed. CDC_MAIL_ALL: everything that is taken. */
#define CDC_MAIL_ALL 0
void cdc_mailbox_settle(struct cdc_mailbox *box, uint64_t id, int rc, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* What was taken and not settled waits again. */
void cdc_mailbox_reopen(struct cdc_mailbox *box);
/* Copies of what is remembered, newest first; returns how many. */
size_t cdc_mailbox_list(struct cdc_mailbox *box, struct cdc_mail ret[CDC_MAILBOX]);

const char *cdc_command_name(enum cdc_command_kind command);
const char *cdc_mail_state_name(enum cdc_mail_state state);

#endif
