/*
 * test_mysql_apply_recorded.c - whole binlogs of real servers (tests/data/mysql) against the
 * changes that come of them (apply.*.txt there); cut short at every event; with a batch for each
 * event; and read again from every place inside a transaction. KIT_WRITE=1 writes what was found to
 * build/mysql/ instead of comparing, for a person to judge.
 */
#include "rows.h"

#include "mysql_kit.h"
#include "mysql_rig.h"

/* "t 3": where a recorded RENAME goes, which no event describes. */
#define RULES "capture:\n  - tables: g.t*3\n    skip: true\n  - tables: g.*\n"

/* All of the file up to `len`, each event in bytes of its own. polls: a batch for each event. */
static int play_from(struct rig *rig, const uint8_t *bytes, size_t at, size_t len, bool polls)
{
    int rc = CDC_OK;
    rig->src.pos = at;
    for (; rc == CDC_OK && len - at >= MYS_HEADER;) {
        size_t n = kit_event_len(bytes + at);
        if (n > len - at)
            break;
        uint8_t *exact = malloc(n);
        assert_non_null(exact);
        memcpy(exact, bytes + at, n);
        rc = rig_event(rig, cdc_slice_of(exact, n));
        free(exact);
        if (polls)
            rig_poll(rig);
        at += n;
    }
    rig_show(rig);
    return rc;
}

static int play(struct rig *rig, const uint8_t *bytes, size_t len, bool polls)
{
    return play_from(rig, bytes, 4, len, polls);
}

static const struct scene {
    const char *name;
} scenes[] = {
    {"transactions.mysql"}, {"transactions.mariadb"}, {"ddl.mysql"},  {"ddl.mariadb"},
    {"images.mysql"},       {"images.mariadb"},       {"json.mysql"},
};

static struct rig *open_scene(const struct scene *scene, uint8_t **bytes, size_t *len)
{
    char name[64];
    static struct rig rig;
    snprintf(name, sizeof name, "%s.bin", scene->name);
    *bytes = kit_file(name, len);
    rig_open(&rig, RULES, strstr(scene->name, "mariadb") != NULL);
    return &rig;
}

static void test_scene(void **state)
{
    const struct scene *scene = *state;
    char name[64], path[96];
    size_t len, want_len;
    uint8_t *bytes;
    struct rig *rig = open_scene(scene, &bytes, &len);
    int rc = play(rig, bytes, len, false);
    if (rc < 0)
        fail_msg("%s", rig->err.message);
    const char *out = cdc_buf_cstr(&rig->out);
    assert_non_null(out);
    snprintf(name, sizeof name, "apply.%s.txt", scene->name);
    if (getenv("KIT_WRITE")) {
        snprintf(path, sizeof path, "build/mysql/%s", name);
        FILE *to = fopen(path, "w");
        assert_non_null(to);
        fputs(out, to);
        fclose(to);
    } else {
        uint8_t *want = kit_file(name, &want_len);
        assert_string_equal(out, (const char *)want);
        free(want);
    }
    rig_close(rig);
    free(bytes);
}

/* Wherever the stream ends, what is open can be closed. */
static void test_prefixes(void **state)
{
    const struct scene *scene = *state;
    size_t len;
    uint8_t *bytes;
    struct rig *rig = open_scene(scene, &bytes, &len);
    rig_close(rig);
    for (size_t at = 4; at + MYS_HEADER <= len; at += kit_event_len(bytes + at)) {
        struct rig part;
        rig_open(&part, RULES, strstr(scene->name, "mariadb") != NULL);
        part.cfg.cuts = true;
        (void)!play(&part, bytes, at, at & 1);
        rig_close(&part);
    }
    free(bytes);
}

/* All rows of a log as text, without what depends on batches (a last row may be out already). */
static void put_rows(const struct rig *rig, struct cdc_buf *ret)
{
    const char *line = (const char *)rig->out.p, *end = line + rig->out.len;
    for (const char *next; line < end; line = next) {
        next = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1;
        size_t n = (size_t)(next - line);
        if (n > 6 && memcmp(next - 6, " last\n", 6) == 0)
            n -= 6;
        if (*line == '[' || *line == 'e')
            continue;
        cdc_buf_put(ret, line, n);
        cdc_buf_str(ret, next[-1] == '\n' && line[n - 1] != '\n' ? "\n" : "");
    }
}

/* The log in two sessions, the second from the cut position behind event `stop`. false: there is
 * none, no row has gone out of an open transaction. */
static bool play_twice(struct rig *rig, const uint8_t *bytes, size_t len, size_t stop)
{
    struct mys_source *src = &rig->src;
    rig->cfg.cuts = true;
    (void)!play(rig, bytes, stop, false);
    struct mys_tx tx = src->tx;
    if (!tx.open || tx.skip || tx.n == 0)
        return false;
    rig_poll(rig);
    mys_xa_done(src);
    src->resume = (struct mys_pos){.kind = MYS_POS_CUT, .tx = tx.at, .n = tx.n, .crc = tx.crc};
    src->tx = (struct mys_tx){.open = false};
    src->pos = tx.at.pos;
    (void)!play_from(rig, bytes, tx.at.pos, len, false);
    return true;
}

static void test_cuts(void **state)
{
    const struct scene *scene = *state;
    size_t len, n = 0;
    uint8_t *bytes;
    struct cdc_buf want = CDC_BUF(KIT_MAX);
    struct rig *whole = open_scene(scene, &bytes, &len);
    (void)!play(whole, bytes, len, false);
    put_rows(whole, &want);
    rig_close(whole);
    for (size_t at = 4; at + MYS_HEADER <= len; at += kit_event_len(bytes + at)) {
        struct rig part;
        struct cdc_buf have = CDC_BUF(KIT_MAX);
        rig_open(&part, RULES, strstr(scene->name, "mariadb") != NULL);
        if (play_twice(&part, bytes, len, at)) {
            put_rows(&part, &have);
            assert_string_equal(cdc_buf_cstr(&have), cdc_buf_cstr(&want));
            n++;
        }
        cdc_buf_done(&have);
        rig_close(&part);
    }
    assert_in_range(n, 3, 1000);
    cdc_buf_done(&want);
    free(bytes);
}

int main(void)
{
    struct CMUnitTest tests[3 * CM_COUNT(scenes)], *end = tests;
    end = CM_ROWS(end, test_scene, scenes);
    end = CM_ROWS(end, test_prefixes, scenes);
    end = CM_ROWS(end, test_cuts, scenes);
    return _cmocka_run_group_tests("mysql_apply_recorded", tests, (size_t)(end - tests), NULL,
                                   NULL);
}
