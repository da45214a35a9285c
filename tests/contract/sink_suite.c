/*
 * sink_suite.c - what every sink must do, wherever it writes: see contract.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/cm.h"
#include "cdc/json.h"
#include "contract.h"
#include "envelope/envelope.h"

static struct cdc_envelope_state envelope_state = {.incarnation = 1};

struct stage {
    const struct sink_fixture *fix;
    struct cdc_settings *set;
    struct cdc_sink *snk;
    struct cdc_pool *pool;
    struct cdc_table *table;
    struct cdc_map schemas; /* schema/<id> of the table's value and key, as the registry has them */
    struct cdc_map seen;    /* what the last recover returned */
    int64_t next;           /* key of the next row */
};

typedef int schema_text(const char *pipeline, const struct cdc_table *tab, struct cdc_buf *ret,
                        struct cdc_error *err);

/* A schema with its text (`text` ends it), noted as the registry would. */
static struct cdc_schema make_schema(struct stage *s, schema_text *make, uint32_t id,
                                     struct cdc_buf *text)
{
    struct cdc_error err = {0};
    struct cdc_buf entry = CDC_BUF(1 << 20);
    char key[32];
    *text = CDC_BUF(1 << 20);
    assert_int_equal(make("contract", s->table, text, &err), CDC_OK);
    assert_non_null(cdc_buf_cstr(text));
    snprintf(key, sizeof key, "schema/%u", id);
    cdc_buf_printf(&entry, "{\"subject\":\"words-%u\",\"version\":1,\"schema\":", id);
    cdc_json_string(&entry, cdc_buf_slice(text));
    cdc_buf_str(&entry, "}");
    assert_int_equal(cdc_map_put(&s->schemas, cdc_slice_str(key), cdc_buf_slice(&entry)), CDC_OK);
    cdc_buf_done(&entry);
    return (struct cdc_schema){.text = (char *)text->p, .len = text->len, .id = id};
}

static void make_table(struct stage *s)
{
    static const struct cdc_column cols[] = {
        {.name = "id", .type = "bigint", .kind = CDC_INT, .bits = 64, .key = 1, .type_mod = -1},
        {.name = "word", .type = "text", .kind = CDC_TEXT, .nullable = true, .type_mod = -1}};
    const struct cdc_table_spec spec = {
        .catalog = "db",
        .schema = "public",
        .name = "words",
        .version = 1,
        .n = 2,
        .cols = cols,
        .rule = cdc_capture_match(s->set->config.capture, "public", "words")};
    struct cdc_error err = {0};
    assert_non_null(spec.rule);
    assert_int_equal(cdc_table_new(&spec, &s->table, &err), CDC_OK);
    struct cdc_buf text, key_text;
    cdc_map_init(&s->schemas);
    const struct cdc_schema schema = make_schema(s, cdc_row_schema_text, 1, &text);
    const struct cdc_schema key = make_schema(s, cdc_row_key_schema_text, 2, &key_text);
    assert_int_equal(cdc_plan_new(s->table, &schema, &envelope_state, &s->table->plan, &err), 0);
    assert_int_equal(cdc_plan_with_key(s->table->plan, &key, &err), CDC_OK);
    cdc_buf_done(&text);
    cdc_buf_done(&key_text);
}

static struct cdc_sink *open_one(struct stage *s)
{
    struct cdc_sink *snk = NULL;
    struct cdc_error err = {0};
    if (s->fix->ops->open(&s->set->config, &snk, &err) != CDC_OK)
        fail_msg("open: %s: %s", err.where, err.message);
    return snk;
}

static void recover(struct stage *s)
{
    struct cdc_error err = {0};
    if (s->fix->ops->recover(s->snk, &s->seen, &err) != CDC_OK)
        fail_msg("recover: %s: %s", err.where, err.message);
}

static void start(struct stage *s, const struct sink_fixture *fix)
{
    *s = (struct stage){.fix = fix, .pool = cdc_pool_new((size_t)64 << 20, 65536), .next = 1};
    fix->up(&s->set);
    make_table(s);
    cdc_map_init(&s->seen);
    s->snk = open_one(s);
    recover(s);
}

static void end(struct stage *s)
{
    if (s->snk)
        s->snk->ops->close(s->snk);
    cdc_map_done(&s->seen);
    cdc_map_done(&s->schemas);
    cdc_table_unref(s->table);
    cdc_pool_free(s->pool);
    cdc_settings_free(s->set);
    if (s->fix->down)
        s->fix->down();
}

/* As a restart of the process: close, open, recover. */
static void restart(struct stage *s)
{
    s->snk->ops->close(s->snk);
    s->snk = open_one(s);
    recover(s);
}

static int write_rows(struct stage *s, int n)
{
    struct cdc_batch *batch = cdc_pool_batch(s->pool);
    struct cdc_tx *tx = cdc_arena_zalloc(batch->arena, sizeof *tx);
    char *place = cdc_arena_printf(batch->arena, "%024llx", (long long)s->next);
    memcpy(tx->place, place, CDC_PLACE_LEN);
    tx->commit_us = 1700000000000000;
    for (int i = 0; i < n; i++) {
        struct cdc_change *chg = cdc_batch_add(batch, s->table);
        struct cdc_value *row = cdc_batch_values(batch, 2);
        row[0] = (struct cdc_value){.kind = CDC_INT, .i = s->next++};
        row[1] = (struct cdc_value){.kind = CDC_TEXT, .len = 4, .p = (const uint8_t *)"word"};
        *chg = (struct cdc_change){.op = CDC_OP_CREATE,
                                   .table = s->table,
                                   .tx = tx,
                                   .ordinal = (uint64_t)i + 1,
                                   .after = row};
    }
    batch->cut = CDC_CUT_END;
    batch->read_us = 1700000000000001;
    struct cdc_error err = {0};
    int rc = s->fix->ops->write(s->snk, batch, &err);
    cdc_batch_unref(batch);
    return rc;
}

static int commit(struct stage *s, const char *position, enum cdc_commit_what what)
{
    struct cdc_map delta;
    struct cdc_error err = {0};
    cdc_map_init(&delta);
    if (position)
        assert_int_equal(cdc_map_put_text(&delta, "position", cdc_slice_str(position)), CDC_OK);
    assert_int_equal(cdc_map_merge(&delta, &s->schemas), CDC_OK);
    int rc = s->fix->ops->commit(s->snk, &delta, what, &err);
    cdc_map_done(&delta);
    return rc;
}

static void assert_position(struct stage *s, const char *expect)
{
    struct cdc_buf position = CDC_BUF(256);
    int rc = cdc_map_get_text(&s->seen, "position", &position, NULL);
    assert_int_equal(rc, expect ? CDC_OK : CDC_END);
    if (expect)
        assert_string_equal(cdc_buf_cstr(&position), expect);
    cdc_buf_done(&position);
}

/* Rows that a feed gives back, in order, keys counted through from 1; -1: cannot be read back. */
static int64_t rows_committed(struct stage *s)
{
    const struct cdc_feed_ops *ops = s->fix->ops->feed;
    struct cdc_feed *feed = NULL;
    struct cdc_feed_commit at;
    struct cdc_feed_row row;
    struct cdc_error err = {0};
    int64_t n = 0;
    if (!ops)
        return -1;
    if (ops->open(&s->set->config, NULL, &(struct cdc_feed_start){0}, &feed, &err) != CDC_OK)
        fail_msg("feed: %s: %s", err.where, err.message);
    while (ops->commit(feed, &at, &err) == CDC_OK) {
        int rc;
        while ((rc = ops->row(feed, NULL, &row, &err)) == CDC_OK) {
            assert_string_equal(row.schema->table_name, "words");
            n += row.values[0].i == n + 1;
        }
        if (rc < 0)
            fail_msg("feed row: %s: %s", err.where, err.message);
    }
    ops->close(feed);
    return n;
}

static void assert_rows(struct stage *s, int64_t n)
{
    int64_t found = rows_committed(s);
    assert_true(found == n || found == -1);
}

static bool durable(const struct stage *s)
{
    return s->fix->ops->caps & CDC_SINK_DURABLE;
}

static void test_begins_empty(void **state)
{
    struct stage s;
    start(&s, *state);
    assert_int_equal(s.seen.n, 0);
    assert_rows(&s, 0);
    end(&s);
}

static void test_commits_rows_and_keys_together(void **state)
{
    struct stage s;
    start(&s, *state);
    assert_true(write_rows(&s, 5) >= 0);
    assert_int_equal(commit(&s, "five", CDC_COMMIT_ALL), CDC_OK);
    recover(&s);
    assert_position(&s, "five");
    if (durable(&s))
        restart(&s);
    assert_position(&s, "five");
    assert_rows(&s, 5);
    end(&s);
}

static void test_uncommitted_rows_vanish_in_recover(void **state)
{
    struct stage s;
    start(&s, *state);
    assert_true(write_rows(&s, 2) >= 0);
    assert_int_equal(commit(&s, "two", CDC_COMMIT_ALL), CDC_OK);
    assert_true(write_rows(&s, 3) >= 0);
    recover(&s);
    assert_position(&s, "two");
    s.next = 3;
    assert_true(write_rows(&s, 1) >= 0);
    assert_int_equal(commit(&s, "three", CDC_COMMIT_ALL), CDC_OK);
    assert_rows(&s, 3);
    end(&s);
}

static void test_uncommitted_rows_vanish_in_close(void **state)
{
    struct stage s;
    start(&s, *state);
    if (durable(&s)) {
        assert_true(write_rows(&s, 3) >= 0);
        restart(&s);
        assert_int_equal(s.seen.n, 0);
        assert_rows(&s, 0);
    }
    end(&s);
}

static void test_keys_alone_leave_rows_pending(void **state)
{
    struct stage s;
    start(&s, *state);
    assert_true(write_rows(&s, 3) >= 0);
    int rc = commit(&s, "keys", CDC_COMMIT_KEYS);
    assert_true(rc == CDC_OK || rc == CDC_AGAIN);
    assert_rows(&s, 0);
    assert_int_equal(commit(&s, "rows", CDC_COMMIT_ALL), CDC_OK);
    assert_rows(&s, 3);
    recover(&s);
    assert_position(&s, "rows");
    end(&s);
}

static void test_deletes_a_key(void **state)
{
    struct stage s;
    struct cdc_map delta;
    struct cdc_error err = {0};
    start(&s, *state);
    assert_int_equal(commit(&s, "gone", CDC_COMMIT_ALL), CDC_OK);
    cdc_map_init(&delta);
    assert_int_equal(cdc_map_put(&delta, cdc_slice_str("position"), cdc_slice_of(NULL, 0)), 0);
    assert_int_equal(cdc_map_put(&delta, cdc_slice_str("clock"), cdc_slice_str("7")), 0);
    assert_int_equal(s.fix->ops->commit(s.snk, &delta, CDC_COMMIT_ALL, &err), CDC_OK);
    cdc_map_done(&delta);
    recover(&s);
    assert_position(&s, NULL);
    assert_true(cdc_slice_eq(cdc_map_get(&s.seen, "clock"), cdc_slice_str("7")));
    end(&s);
}

static void test_many_commits(void **state)
{
    struct stage s;
    char position[24];
    start(&s, *state);
    for (int i = 1; i <= 25; i++) {
        assert_true(write_rows(&s, i % 3) >= 0);
        snprintf(position, sizeof position, "at %d", i);
        assert_int_equal(commit(&s, position, CDC_COMMIT_ALL), CDC_OK);
        if (durable(&s) && i % 7 == 0)
            restart(&s);
        else if (i % 5 == 0)
            recover(&s);
    }
    assert_rows(&s, s.next - 1);
    recover(&s);
    assert_position(&s, "at 25");
    end(&s);
}

/* Two instances: either the second is refused, or the first is, and then loses nothing it told. */
static void test_two_instances(void **state)
{
    struct stage s;
    start(&s, *state);
    if (!durable(&s)) {
        end(&s);
        return;
    }
    assert_true(write_rows(&s, 1) >= 0);
    assert_int_equal(commit(&s, "one", CDC_COMMIT_ALL), CDC_OK);
    struct cdc_sink *other = open_one(&s);
    struct cdc_map theirs;
    struct cdc_error err = {0};
    cdc_map_init(&theirs);
    int second = other->ops->recover(other, &theirs, &err);
    assert_true(write_rows(&s, 1) >= 0);
    int first = commit(&s, "two", CDC_COMMIT_ALL);
    if (second == CDC_OK) {
        assert_int_equal(first, CDC_FAIL);
    } else {
        assert_int_equal(err.action, CDC_OPERATOR);
        assert_int_equal(first, CDC_OK);
    }
    other->ops->close(other);
    cdc_map_done(&theirs);
    assert_rows(&s, first == CDC_OK ? 2 : 1);
    end(&s);
}

/* The rows of a feed's commits from a token on; the token of the last commit into *token. */
static int64_t rows_after(struct stage *s, char **token)
{
    const struct cdc_feed_ops *ops = s->fix->ops->feed;
    const struct cdc_feed_start start = {.token = *token};
    struct cdc_feed *feed = NULL;
    struct cdc_feed_commit at;
    struct cdc_feed_row row;
    struct cdc_error err = {0};
    int64_t n = 0;
    int rc;
    if (ops->open(&s->set->config, NULL, &start, &feed, &err) != CDC_OK)
        fail_msg("feed: %s: %s", err.where, err.message);
    free(*token);
    *token = NULL;
    uint64_t number = 0;
    while ((rc = ops->commit(feed, &at, &err)) == CDC_OK) {
        assert_true(at.number > number);
        number = at.number;
        free(*token);
        *token = strdup(at.token);
        while ((rc = ops->row(feed, NULL, &row, &err)) == CDC_OK)
            n++;
        assert_int_equal(rc, CDC_END);
    }
    if (rc != CDC_AGAIN)
        fail_msg("feed: %s: %s", err.where, err.message);
    ops->close(feed);
    return n;
}

/* A reader goes on by the token it kept; one that is not the feed's own is refused. */
static void test_tokens(void **state)
{
    struct stage s;
    char *token = NULL;
    struct cdc_feed *feed = NULL;
    struct cdc_error err = {0};
    start(&s, *state);
    for (int i = 1; s.fix->ops->feed && i <= 4; i++) {
        assert_true(write_rows(&s, i) >= 0);
        assert_int_equal(commit(&s, "rows", CDC_COMMIT_ALL), CDC_OK);
        assert_int_equal(rows_after(&s, &token), i);
        assert_non_null(token);
    }
    const struct cdc_feed_start foreign = {.token = "what no feed says"};
    if (s.fix->ops->feed) {
        assert_int_equal(s.fix->ops->feed->open(&s.set->config, NULL, &foreign, &feed, &err),
                         CDC_FAIL);
        assert_int_equal(err.action, CDC_OPERATOR);
    }
    free(token);
    end(&s);
}

/* The rows of the commits that the feed gives now; of the last of them the number. */
static int64_t rows_of(struct cdc_feed *feed, uint64_t *number)
{
    struct cdc_feed_commit at;
    struct cdc_feed_row row;
    struct cdc_error err = {0};
    int64_t n = 0;
    int rc;
    while ((rc = feed->ops->commit(feed, &at, &err)) == CDC_OK) {
        assert_true(at.number > *number);
        *number = at.number;
        while ((rc = feed->ops->row(feed, NULL, &row, &err)) == CDC_OK)
            n++;
        assert_int_equal(rc, CDC_END);
    }
    if (rc != CDC_AGAIN)
        fail_msg("feed: %s: %s", err.where, err.message);
    return n;
}

#define HELD 4

/* A feed that is held to another reader's token gives what that one had, though there is more. */
static void test_until(void **state)
{
    struct stage s;
    char *token = NULL, *tokens[HELD + 1] = {NULL};
    struct cdc_feed *feed = NULL;
    struct cdc_error err = {0};
    start(&s, *state);
    const struct cdc_feed_ops *ops = s.fix->ops->feed;
    for (int i = 1; ops && ops->until && i <= HELD; i++) {
        assert_true(write_rows(&s, i) >= 0);
        assert_int_equal(commit(&s, "rows", CDC_COMMIT_ALL), CDC_OK);
        assert_int_equal(rows_after(&s, &token), i);
        tokens[i] = strdup(token);
    }
    for (int first = 1; tokens[1] && first <= HELD; first++) {
        const struct cdc_feed_start whole = {.whole = true};
        uint64_t number = 0, was = 0;
        assert_int_equal(ops->open(&s.set->config, NULL, &whole, &feed, &err), CDC_OK);
        assert_int_equal(ops->until(feed, "what no feed says", &err), CDC_FAIL);
        assert_int_equal(err.action, CDC_OPERATOR);
        for (int i = first; i <= HELD; i++, was = number) {
            if (ops->until(feed, tokens[i], &err) != CDC_OK)
                fail_msg("feed: %s: %s", err.where, err.message);
            assert_int_equal(rows_of(feed, &number), i > first ? i : i * (i + 1) / 2);
            assert_true(number > was);
        }
        int rc = first < HELD ? ops->until(feed, tokens[first], &err) : CDC_FAIL;
        assert_int_equal(rc, CDC_FAIL); /* it stands beyond */
        ops->close(feed);
    }
    for (int i = 1; i <= HELD; i++)
        free(tokens[i]);
    free(token);
    end(&s);
}

static void test_a_policy(void **state)
{
    struct stage s;
    struct cdc_commit_policy policy = {.interval_us = -1, .idle_us = -1, .pace_us = -1};
    start(&s, *state);
    s.fix->ops->policy(s.snk, &policy);
    assert_true(policy.interval_us >= 0 && policy.pace_us >= 0);
    assert_true((policy.eager && policy.eager_rows == 0) || policy.interval_us > 0);
    assert_true(policy.idle_us > 0);
    end(&s);
}

int sink_contract(const struct sink_fixture *fix)
{
    void *with = (void *)(uintptr_t)fix;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_begins_empty, with),
        cmocka_unit_test_prestate(test_commits_rows_and_keys_together, with),
        cmocka_unit_test_prestate(test_uncommitted_rows_vanish_in_recover, with),
        cmocka_unit_test_prestate(test_uncommitted_rows_vanish_in_close, with),
        cmocka_unit_test_prestate(test_keys_alone_leave_rows_pending, with),
        cmocka_unit_test_prestate(test_deletes_a_key, with),
        cmocka_unit_test_prestate(test_many_commits, with),
        cmocka_unit_test_prestate(test_two_instances, with),
        cmocka_unit_test_prestate(test_tokens, with),
        cmocka_unit_test_prestate(test_until, with),
        cmocka_unit_test_prestate(test_a_policy, with),
    };
    return _cmocka_run_group_tests(fix->name, tests, sizeof tests / sizeof *tests, NULL, NULL);
}
