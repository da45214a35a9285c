/*
 * test_replica_converge.c - promise P8: a replica ends up equal to the source, under replay and
 * reordering.
 *
 * A small source with eight keys is driven by random transactions (inserts, updates with and
 * without the column `a` sent, deletes with key or whole row, key changes, truncates) and tells
 * what it holds in the end, dead rows included. Its log is then applied in order, with earlier
 * parts repeated, and (whole rows only, as the contract says) with its commits in any order. Then
 * as a feed may give it that has other commits than the source: all in one, with old sweeps between
 * any two rows; and cut between any two changes, with a new process every now and then.
 */
#include "replica_db.h"
#include "rows.h"

#define KEYS   8
#define STEPS  40
#define LOGMAX ((size_t)STEPS * 512)

struct source_row {
    bool seen, live;
    int a, b, at;
    const char *reason;
    char seq[CDC_SEQ_LEN + 1];
};

struct source {
    uint64_t seed;
    bool whole; /* every row is sent whole */
    struct source_row rows[KEYS];
    unsigned tx, ordinal;
    char commits[STEPS + 1][512];
    size_t n;
};

static unsigned roll(struct source *src, unsigned n)
{
    src->seed ^= src->seed << 13;
    src->seed ^= src->seed >> 7;
    src->seed ^= src->seed << 17;
    return (unsigned)(src->seed >> 33) % n;
}

static void emit(struct source *src, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void emit(struct source *src, const char *fmt, ...)
{
    char *to = src->commits[src->n];
    size_t len = strlen(to);
    va_list args;
    va_start(args, fmt);
    len += (size_t)vsnprintf(to + len, sizeof src->commits[0] - len, fmt, args);
    va_end(args);
    assert_true(len + 2 < sizeof src->commits[0]);
    strcpy(to + len, ";");
}

static void touch(struct source *src, unsigned key, bool live, const char *reason)
{
    struct source_row *row = &src->rows[key];
    row->seen = true;
    row->live = live;
    row->reason = reason;
    row->at = (int)src->tx;
    fake_feed_seq(row->seq, src->tx, src->ordinal);
}

static void change(struct source *src, unsigned key)
{
    struct source_row *row = &src->rows[key];
    bool a_too = roll(src, 2);
    row->b = (int)roll(src, 1000);
    if (a_too)
        row->a = (int)roll(src, 1000);
    touch(src, key, true, NULL);
    if (a_too || src->whole)
        emit(src, "u %u.%u %u %d %d", src->tx, src->ordinal, key, row->a, row->b);
    else
        emit(src, "u %u.%u %u ~ %d", src->tx, src->ordinal, key, row->b);
}

static void insert(struct source *src, unsigned key)
{
    struct source_row *row = &src->rows[key];
    row->a = (int)roll(src, 1000);
    row->b = (int)roll(src, 1000);
    touch(src, key, true, NULL);
    emit(src, "c %u.%u %u %d %d", src->tx, src->ordinal, key, row->a, row->b);
}

static void delete (struct source *src, unsigned key, const char *reason)
{
    struct source_row *row = &src->rows[key];
    touch(src, key, false, reason);
    if (src->whole || roll(src, 2))
        emit(src, "d %u.%u %u %d %d !%s", src->tx, src->ordinal, key, row->a, row->b, reason);
    else
        emit(src, "d %u.%u %u ~ ~ !%s", src->tx, src->ordinal, key, reason);
}

static void move(struct source *src, unsigned from, unsigned to)
{
    struct source_row *row = &src->rows[to];
    delete (src, from, "key_change");
    row->a = src->rows[from].a;
    row->b = roll(src, 2) ? (int)roll(src, 1000) : src->rows[from].b;
    touch(src, to, true, NULL);
    if (src->whole)
        emit(src, "c %u.%u %u %d %d <%u", src->tx, src->ordinal, to, row->a, row->b, from);
    else if (row->b == src->rows[from].b)
        emit(src, "c %u.%u %u ~ ~ <%u", src->tx, src->ordinal, to, from);
    else
        emit(src, "c %u.%u %u ~ %d <%u", src->tx, src->ordinal, to, row->b, from);
}

static void truncate_all(struct source *src)
{
    for (unsigned key = 0; key < KEYS; key++) {
        struct source_row *row = &src->rows[key];
        if (!row->live)
            continue;
        row->live = false; /* its __seq stays */
        row->reason = "truncate";
        row->at = (int)src->tx;
    }
    emit(src, "t %u.%u", src->tx, src->ordinal);
}

static void one_change(struct source *src)
{
    unsigned key = roll(src, KEYS), to = roll(src, KEYS);
    src->ordinal++;
    if (roll(src, 40) == 0)
        truncate_all(src);
    else if (!src->rows[key].live)
        insert(src, key);
    else if (to != key && !src->rows[to].live && roll(src, 2))
        move(src, key, to);
    else if (roll(src, 3) == 0)
        delete (src, key, "delete");
    else
        change(src, key);
}

static void drive(struct source *src, unsigned seed, bool whole)
{
    memset(src, 0, sizeof *src);
    src->seed = seed * 0x9e3779b97f4a7c15ULL + 1;
    src->whole = whole;
    for (src->n = 0; src->n < STEPS; src->n++) {
        unsigned txs = 1 + roll(src, 2);
        while (txs--) {
            src->tx++;
            src->ordinal = 0;
            for (unsigned changes = 1 + roll(src, 4); changes; changes--)
                one_change(src);
        }
    }
}

static int by_seq(const void *a, const void *b)
{
    const struct source_row *const *x = a, *const *y = b;
    return strcmp((*x)->seq, (*y)->seq);
}

/* What db_dump should say. With `live`: live rows alone, by key. */
static void expected(const struct source *src, bool live, char *ret, size_t cap)
{
    const struct source_row *order[KEYS];
    size_t n = 0, len = 0;
    for (unsigned key = 0; key < KEYS; key++)
        if (src->rows[key].seen && (src->rows[key].live || !live))
            order[n++] = &src->rows[key];
    if (!live)
        qsort(order, n, sizeof order[0], by_seq);
    ret[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        const struct source_row *row = order[i];
        len += (size_t)snprintf(ret + len, cap - len, "%s%d,%d,%d", i ? " | " : "",
                                (int)(row - src->rows), row->a, row->b);
        if (!row->live)
            len += (size_t)snprintf(ret + len, cap - len, " !%s@%d", row->reason, row->at);
    }
}

enum order { IN_ORDER, REPEATED, SHUFFLED, JOINED, CUT };

static char *script(struct source *src, const char *mode, enum order order)
{
    size_t cap = LOGMAX * 4, len;
    char *ret = malloc(cap);
    size_t at[STEPS];
    assert_non_null(ret);
    for (size_t i = 0; i < STEPS; i++)
        at[i] = i;
    for (size_t i = STEPS; order == SHUFFLED && i > 1; i--) {
        size_t j = roll(src, (unsigned)i), keep = at[j];
        at[j] = at[i - 1];
        at[i - 1] = keep;
    }
    len = (size_t)snprintf(ret, cap, "@public.t 1 %s *id:i a:i b:i", mode);
    for (size_t i = 0; i < STEPS; i++) {
        len += (size_t)snprintf(ret + len, cap - len, "|%s", src->commits[at[i]]);
        size_t again =
            order == REPEATED && roll(src, 3) == 0 ? i - roll(src, (unsigned)i + 1) : STEPS;
        for (; again <= i; again++)
            len += (size_t)snprintf(ret + len, cap - len, "|%s", src->commits[at[again]]);
        assert_true(len < cap);
    }
    return ret;
}

/* Takes the script; the same rows in other commits. */
static char *other_commits(char *text, enum order order)
{
    size_t len = strlen(text), cap = len * 16, n = 0;
    unsigned generation = 0;
    char *ret = calloc(1, cap);
    assert_non_null(ret);
    for (const char *p = text; *p; p++) {
        const char *end = strpbrk(p + 1, ";|");
        bool half = end && memchr(p, '<', (size_t)(end - p)); /* goes with the row before it */
        if (*p != ';' && *p != '|')
            ret[n++] = *p;
        else if (order == CUT)
            ret[n++] = half ? ';' : '|';
        else
            n += (size_t)sprintf(ret + n, ";t 0.s%u !inferred;", ++generation);
        assert_true(n + 64 < cap);
    }
    free(text);
    return ret;
}

/* Each process finds a longer feed. */
static void run_growing(struct db *db, char *text)
{
    unsigned n = 0;
    for (char *bar = text; (bar = strchr(bar, '|')) != NULL; bar++) {
        if (++n % 13)
            continue;
        *bar = '\0';
        db_must(db, text);
        *bar = '|';
    }
    db_must(db, text);
}

struct history {
    const char *name, *mode;
    enum order order;
};

static const struct history histories[] = {
    {"soft, in order", "soft", IN_ORDER}, {"soft, repeated", "soft", REPEATED},
    {"soft, shuffled", "soft", SHUFFLED}, {"hard, in order", "hard", IN_ORDER},
    {"hard, repeated", "hard", REPEATED}, {"hard, shuffled", "hard", SHUFFLED},
    {"soft, one commit", "soft", JOINED}, {"hard, one commit", "hard", JOINED},
    {"soft, cut", "soft", CUT},           {"hard, cut", "hard", CUT},
};

static const char *live_rows(struct db *db)
{
    return db_query(db, "SELECT id || ',' || a || ',' || b || coalesce(__unchanged, '')"
                        " FROM \"public.t\" WHERE NOT __deleted ORDER BY id");
}

static void test_converges(void **state)
{
    const struct history *row = *state;
    struct source *src = malloc(sizeof *src);
    struct db db;
    char want[2048];
    assert_non_null(src);
    db_init(&db);
    for (unsigned seed = 1; seed <= 60; seed++) {
        drive(src, seed, row->order == SHUFFLED);
        char *text = script(src, row->mode, row->order);
        if (row->order == JOINED || row->order == CUT)
            text = other_commits(text, row->order);
        db_clear(&db);
        if (row->order == CUT)
            run_growing(&db, text);
        else
            db_must(&db, text);
        free(text);
        expected(src, true, want, sizeof want);
        if (strcmp(live_rows(&db), want) != 0)
            fail_msg("seed %u: %s, expected %s", seed, db.dump, want);
        /* Shuffled, a dead row may name a later truncate than the one that met it first. */
        expected(src, strcmp(row->mode, "hard") == 0, want, sizeof want);
        if (row->order != SHUFFLED && strcmp(row->mode, "soft") == 0 &&
            strcmp(db_dump(&db, "public.t"), want) != 0)
            fail_msg("seed %u: %s, expected %s", seed, db.dump, want);
        if (strcmp(row->mode, "hard") == 0)
            assert_string_equal(db_query(&db, "SELECT count(*) FROM \"public.t\" WHERE __deleted"),
                                "0");
    }
    db_done(&db);
    free(src);
}

int main(void)
{
    struct CMUnitTest tests[16], *end = CM_ROWS(tests, test_converges, histories);
    return _cmocka_run_group_tests("replica_converge", tests, (size_t)(end - tests), NULL, NULL);
}
