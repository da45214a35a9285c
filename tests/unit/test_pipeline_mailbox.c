/* The mailbox, by scripts: p post, t take, s settle what was taken last, f the same as failed, a
 * all as done, b back, r reopen; then the states of all, newest first (w t d f). */
#include "cm.h"
#include "rows.h"

#include <string.h>

#include "pipeline/mailbox.h"

static const struct row {
    const char *name, *script, *states;
} rows[] = {
    {"nothing", "", ""},
    {"posted", "p", "w"},
    {"taken in order", "ppt", "wt"},
    {"done", "pts", "d"},
    {"failed", "ptf", "f"},
    {"settled twice keeps the first", "ptsf", "d"},
    {"all that is taken", "ppptta", "wdd"},
    {"nothing to take", "t", ""},
    {"reopened", "pptr", "ww"},
    {"reopened keeps what is settled", "pptsr", "wd"},
    {"taken again", "ptrt", "t"},
    {"given back", "pptb", "ww"},
    {"given back, and taken before the others", "pptbts", "wd"},
    {"what is settled is not given back", "ptsb", "d"},
    {"the old ones are forgotten",
     "ptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptsptspts"
     "ptsptsptfp",
     "wfdddddddddddddddddddddddddddddd"},
};

static void play(struct cdc_mailbox *box, const char *script)
{
    struct cdc_mail last = {.id = 0};
    uint64_t id;
    for (; *script; script++)
        switch (*script) {
        case 'p':
            assert_int_equal(cdc_mailbox_post(box, CDC_COMMAND_PAUSE, "s.t", &id), CDC_OK);
            break;
        case 't':
            if (cdc_mailbox_take(box, &last) == CDC_OK)
                assert_int_equal(last.state, CDC_MAIL_TAKEN);
            break;
        case 's': cdc_mailbox_settle(box, last.id, CDC_OK, "well"); break;
        case 'f': cdc_mailbox_settle(box, last.id, CDC_FAIL, "not %s", "well"); break;
        case 'a': cdc_mailbox_settle(box, CDC_MAIL_ALL, CDC_OK, "well"); break;
        case 'b': cdc_mailbox_back(box, last.id); break;
        case 'r': cdc_mailbox_reopen(box); break;
        default: fail();
        }
}

static void test_row(void **state)
{
    const struct row *row = *state;
    struct cdc_mailbox *box = cdc_mailbox_new();
    struct cdc_mail list[CDC_MAILBOX];
    char states[CDC_MAILBOX + 1] = "";
    play(box, row->script);
    size_t n = cdc_mailbox_list(box, list);
    for (size_t i = 0; i < n; i++) {
        states[i] = cdc_mail_state_name(list[i].state)[0];
        if (list[i].state == CDC_MAIL_FAILED)
            assert_string_equal(list[i].outcome, "not well");
        assert_int_equal(list[i].settled_us != 0, list[i].state >= CDC_MAIL_DONE);
    }
    assert_string_equal(states, row->states);
    cdc_mailbox_free(box);
}

/* A full box refuses; the names it takes. */
static void test_refused(void **state)
{
    (void)state;
    struct cdc_mailbox *box = cdc_mailbox_new();
    char name[300];
    uint64_t id = 0;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    name[1] = '.';
    static const char *const bad[] = {"", "t", ".t", "s.", NULL};
    for (size_t i = 0; i < CM_COUNT(bad); i++)
        assert_int_equal(cdc_mailbox_post(box, CDC_COMMAND_RESUME, bad[i], &id), CDC_END);
    assert_int_equal(cdc_mailbox_post(box, CDC_COMMAND_RESUME, name, &id), CDC_END);
    for (uint64_t i = 1; i <= CDC_MAILBOX; i++) {
        assert_int_equal(cdc_mailbox_post(box, CDC_COMMAND_RESUME, "s.t.u", &id), CDC_OK);
        assert_int_equal(id, i);
    }
    assert_int_equal(cdc_mailbox_post(box, CDC_COMMAND_PAUSE, "s.t", &id), CDC_FULL);
    struct cdc_mail mail;
    assert_int_equal(cdc_mailbox_take(box, &mail), CDC_OK);
    assert_int_equal(cdc_mailbox_post(box, CDC_COMMAND_PAUSE, "s.t", &id), CDC_FULL);
    cdc_mailbox_settle(box, mail.id, CDC_OK, "well");
    assert_int_equal(cdc_mailbox_post(box, CDC_COMMAND_PAUSE, "s.t", &id), CDC_OK);
    cdc_mailbox_free(box);
    cdc_mailbox_free(NULL);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + 1];
    struct CMUnitTest *to = CM_ROWS(tests, test_row, rows);
    *to = (struct CMUnitTest)cmocka_unit_test(test_refused);
    return cmocka_run_group_tests_name("pipeline_mailbox", tests, NULL, NULL);
}
