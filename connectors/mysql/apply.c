/*
 * apply.c - the binlog's events -> changes of a batch.
 *
 * A transaction is
 *   MySQL      GTID, QUERY BEGIN, {TABLE_MAP.., ROWS..}.., XID | QUERY COMMIT | QUERY ROLLBACK
 *              GTID, QUERY                                      DDL, XA COMMIT, XA ROLLBACK
 *              GTID, QUERY XA START, rows, QUERY XA END, XA_PREPARE (which may be the commit too)
 *   MariaDB    GTID without BEGIN; its flags tell whether it stands alone, XA, and which of an
 *              ALTER's two phases it is (binlog_alter_two_phase): only its end did something
 *   neither    without GTID events (old logs): BEGIN, or a QUERY outside of any
 * and `head` moves at its end. Its commit time must be known with the first row: MySQL's GTID event
 * has it, MariaDB's has the second; else that of the event which begins it.
 *
 * The rows of an event are copied once into the batch's arena, or unpacked there, and values point
 * into them. Rows are numbered before capture rules; those of other tables are counted by their
 * lengths. An event is never cut: a batch that gets full within one takes all of it (8 KB, or one
 * row), so that a position inside a transaction lies between two events; and the CRC-32C over its
 * rows is that of the events' row bytes as they lie in the log.
 *
 * After `cut:` the first transaction must be that very one; its first n rows are counted, compared
 * by their CRC, and the rest emitted. Anything else means another server or a restored backup.
 *
 * MariaDB sends each domain from where we said; one that is in our list and lies before our place
 * is skipped. (Behind our place it is new, whatever its number says: domains may be out of order
 * where gtid_strict_mode is off.)
 *
 * A ROLLBACK ends a transaction in the log only if something in it cannot be undone (a temporary
 * table, an engine without transactions); which of its rows are undone is not told. Those that were
 * not handed over yet are taken back, and every table of it is copied anew (CDC_OP_GAP). Likewise
 * ROLLBACK TO a savepoint, which takes nothing back.
 */
#include "mysql.h"

#include "cdc/crc32c.h"
#include "cdc/log.h"

#include <inttypes.h>

#define NO_MAP        UINT64_C(0xffffffffffff) /* rows of no table: only ends a statement */
#define STATEMENT_MAX ((size_t)64 << 20)       /* of memory beside the statement's own */

static int protocol(const char *what, struct cdc_error *err)
{
    return cdc_fail(err, CDC_FATAL, "mysql",
                    "the server's binlog makes no sense: %s; please report it", what);
}

static int unlike(const struct mys_pos *resume, const char *what, struct cdc_error *err)
{
    return cdc_fail(err, CDC_OPERATOR, "mysql",
                    "the transaction at our position %s:%" PRIu64 " (%s) %s: this is another "
                    "server or a restored backup. An empty sink and a new start begin again from "
                    "now",
                    resume->tx.file, resume->tx.pos, *resume->tx.id ? resume->tx.id : "no GTID",
                    what);
}

/* ---- where a transaction begins ---- */

static char *put_number(char *to, uint64_t number)
{
    char digits[20];
    unsigned n = 0;
    do
        digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    while (n)
        *to++ = digits[--n];
    *to = 0;
    return to;
}

static char *put_uuid(char *to, const uint8_t uuid[16])
{
    static const char hex[] = "0123456789abcdef";
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = hex[uuid[i] >> 4];
        *to++ = hex[uuid[i] & 15];
    }
    return to;
}

/* What mys_gtid_print prints; every transaction has one, and printf would be half of its cost. */
static void put_id(const struct mys_gtid *gtid, char id[MYS_ID_MAX])
{
    char *to = id;
    if (gtid->mariadb) {
        to = put_number(to, gtid->domain);
        *to++ = '-';
        to = put_number(to, gtid->server);
        *to++ = '-';
    } else {
        to = put_uuid(to, gtid->uuid);
        if (*gtid->tag)
            *to++ = ':';
        to = stpcpy(to, gtid->tag);
        *to++ = ':';
    }
    put_number(to, gtid->number);
}

/* Is it one that was emitted before? `at` and gtid are set. */
static bool is_out(const struct mys_source *src)
{
    const struct mys_tx *tx = &src->tx;
    const struct mys_pos *head = &src->head;
    if (!tx->has_gtid || !src->facts.gtids || !mys_gtids_contain(&head->gtids, &tx->gtid))
        return false;
    return !tx->gtid.mariadb || mys_at_order(tx->at.file, tx->at.pos, head->file, head->pos) < 0;
}

/* The first transaction after a start with a cut position: is it that one? */
static int recognise(struct mys_source *src, struct cdc_error *err)
{
    const struct mys_at *want = &src->resume.tx, *have = &src->tx.at;
    if (strcmp(have->file, want->file) != 0 || have->pos != want->pos)
        return unlike(&src->resume, "was not sent again", err);
    if (strcmp(have->id, want->id) != 0 || (!*want->id && have->us != want->us))
        return unlike(&src->resume, "is not the one that we saved", err);
    src->tx.skip_rows = src->resume.n;
    return CDC_OK;
}

int64_t mys_commit_us(const struct mys_event *ev)
{
    if (ev->kind == MYS_GTID && ev->gtid.original_us)
        return ev->gtid.original_us;
    if (ev->kind == MYS_GTID && ev->gtid.commit_us)
        return ev->gtid.commit_us;
    return (int64_t)ev->time_s * 1000000;
}

static int begin(struct mys_source *src, const struct mys_event *ev, uint64_t pos,
                 struct cdc_error *err)
{
    struct mys_tx *tx = &src->tx;
    if (tx->open)
        return protocol("a transaction begins inside another", err);
    *tx = (struct mys_tx){.open = true, .stands_alone = ev->kind != MYS_GTID};
    memcpy(tx->at.file, src->file, sizeof tx->at.file);
    tx->at.pos = pos;
    tx->at.us = mys_commit_us(ev);
    if (ev->kind == MYS_GTID && !ev->gtid.id.anonymous) {
        tx->has_gtid = true;
        tx->gtid = ev->gtid.id;
        put_id(&tx->gtid, tx->at.id);
    }
    tx->skip = is_out(src);
    return src->resume.kind == MYS_POS_CUT && !tx->skip ? recognise(src, err) : CDC_OK;
}

static int on_gtid(struct mys_source *src, const struct mys_event *ev, uint64_t pos,
                   struct cdc_error *err)
{
    struct mys_tx *tx = &src->tx;
    if (ev->gtid.id.anonymous && src->facts.gtids)
        return cdc_fail(err, CDC_RETRY, "mysql",
                        "gtid_mode was changed: a transaction without GTID follows those with; the "
                        "source is opened again by file and offset");
    if (begin(src, ev, pos, err) < 0)
        return CDC_FAIL;
    tx->stands_alone = !ev->gtid.id.mariadb || ev->gtid.flags & MYS_GTID_STANDALONE;
    tx->idle = ev->gtid.flags & (MYS_GTID_ALTER_BEGINS | MYS_GTID_ALTER_FAILED);
    tx->prepares = !tx->skip && ev->gtid.flags & MYS_GTID_XA_PREPARED;
    tx->skip |= tx->prepares;
    return CDC_OK;
}

/* ---- where it ends ---- */

int mys_apply_commit(struct mys_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    struct mys_tx *tx = &src->tx;
    if (tx->n < tx->skip_rows)
        return unlike(&src->resume, "has fewer rows than before", err);
    if (tx->out && batch->n > 0 && batch->changes[batch->n - 1].tx == tx->out)
        batch->changes[batch->n - 1].flags |= CDC_TX_LAST;
    bool old = tx->skip && !tx->prepares;
    if (!old && tx->has_gtid && src->facts.gtids && mys_gtids_add(&src->head.gtids, &tx->gtid) < 0)
        return cdc_fail_oom(err);
    if (!old) {
        memcpy(src->head.file, src->file, sizeof src->head.file);
        src->head.pos = src->pos;
        src->head.last = tx->at;
        src->head.kind = MYS_POS_TX;
        src->resume.kind = MYS_POS_NONE;
        src->due = src->due || tx->rows;
        src->moved = true;
    }
    *tx = (struct mys_tx){.open = false};
    return CDC_OK;
}

/* The commit of an ordinary transaction, or XA_PREPARE in one phase. */
static int finish(struct mys_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    if (!src->tx.open)
        return protocol("a commit does not belong to a transaction", err);
    if (!src->tx.prepares)
        return mys_apply_commit(src, batch, err);
    if (mys_xa_one_phase(src, err) < 0)
        return CDC_FAIL;
    return mys_xa_more(src, batch, 0, err) < 0 ? CDC_FAIL : CDC_OK;
}

static int on_xa_prepare(struct mys_source *src, struct cdc_batch *batch,
                         const struct mys_event *ev, struct cdc_error *err)
{
    if (ev->xa.one_phase || (src->tx.open && src->tx.skip && !src->tx.prepares))
        return finish(src, batch, err);
    if (!src->tx.prepares)
        return protocol("a transaction is prepared that did not begin so", err);
    if (mys_xa_prepared(src, &ev->xa.xid, err) < 0)
        return CDC_FAIL;
    return mys_apply_commit(src, batch, err);
}

/* Its changes in the batch leave it, and each table of them gets one that says so. */
static void take_back(struct cdc_batch *batch, const struct cdc_tx *out)
{
    size_t n = 0, from = batch->n;
    while (from > 0 && batch->changes[from - 1].tx == out)
        from--;
    for (size_t i = from; i < batch->n; i++) {
        struct cdc_change *chg = &batch->changes[i];
        size_t j = 0;
        while (j < n && batch->changes[from + j].table != chg->table)
            j++;
        if (j < n)
            continue;
        batch->changes[from + n++] = (struct cdc_change){
            .op = CDC_OP_GAP, .table = chg->table, .tx = out, .ordinal = chg->ordinal};
    }
    batch->n = from + n;
}

static const char *const undone =
    "a transaction that was partly rolled back is in the log, not which of its rows are";

static int rolled_back(struct mys_source *src, struct cdc_batch *batch, bool whole,
                       struct cdc_error *err)
{
    struct mys_tx *tx = &src->tx;
    if (tx->skip || !tx->rows)
        return CDC_OK;
    if (!whole || tx->handed || tx->skip_rows)
        return mys_gap_all(src, batch, NULL, undone, err);
    if (tx->out)
        take_back(batch, tx->out);
    cdc_log(CDC_LOG_WARN, "mysql: %s; its tables are copied anew", undone);
    return CDC_OK;
}

/* ---- rows ---- */

const struct cdc_tx *mys_tx_out(struct mys_source *src, struct cdc_batch *batch)
{
    struct mys_tx *tx = &src->tx;
    if (tx->out)
        return tx->out;
    char place[CDC_PLACE_LEN + 1];
    struct cdc_tx *out = cdc_arena_zalloc(batch->arena, sizeof *out);
    char *id = *tx->at.id ? cdc_arena_strdup(batch->arena, tx->at.id)
                          : cdc_arena_printf(batch->arena, "%s:%" PRIu64, tx->at.file, tx->at.pos);
    if (!out || !id || mys_place(tx->at.file, tx->at.pos, place) < 0)
        return NULL;
    memcpy(out->place, place, CDC_PLACE_LEN);
    out->id = cdc_slice_str(id);
    out->commit_us = tx->at.us;
    tx->out = out;
    return out;
}

/* n raw rows, one after the other in `raw`. CDC_END: they were emitted before. */
static int count_rows(struct mys_source *src, uint64_t n, struct cdc_slice raw,
                      struct cdc_error *err)
{
    struct mys_tx *tx = &src->tx;
    bool before = tx->n < tx->skip_rows;
    if (!tx->open)
        return protocol("a row outside a transaction", err);
    if (tx->skip)
        return CDC_END;
    tx->n += n;
    tx->bytes += raw.len;
    if (src->srv.cfg->cuts || tx->skip_rows)
        tx->crc = cdc_crc32c(tx->crc, raw.p, raw.len);
    if (!before)
        return CDC_OK;
    if (tx->n > tx->skip_rows || (tx->n == tx->skip_rows && tx->crc != src->resume.crc))
        return unlike(&src->resume, "has other rows than before", err);
    return CDC_END;
}

int mys_count_row(struct mys_source *src, struct cdc_slice raw, struct cdc_error *err)
{
    return count_rows(src, 1, raw, err);
}

/* In the arena; `copy` false: where they lie, unless they must be unpacked. */
static int row_bytes(const struct mys_source *src, const struct mys_event *ev, bool copy,
                     struct cdc_arena *arena, struct cdc_slice *ret, struct cdc_error *err)
{
    if (ev->rows.packed)
        return mys_unpack(arena, ev->rows.rows, src->srv.max_row, ret, err);
    *ret = copy ? cdc_arena_copy(arena, ev->rows.rows) : ev->rows.rows;
    return ret->p ? CDC_OK : cdc_fail_oom(err);
}

static int count_event(const struct mys_source *src, const struct mys_rel *rel,
                       const struct mys_event *ev, uint64_t *ret, struct cdc_error *err)
{
    struct cdc_slice bytes;
    if (!rel->fields) { /* of a type that nobody knows: as good as any number that stays the same */
        *ret = 1;
        return CDC_OK;
    }
    if (rel->n != ev->rows.n)
        return mys_malformed(ev->type, "it has another number of columns than its table", err);
    struct cdc_arena *arena = ev->rows.packed ? cdc_arena_new(SIZE_MAX) : NULL;
    if (ev->rows.packed && !arena)
        return cdc_fail_oom(err);
    int rc = row_bytes(src, ev, false, arena, &bytes, err);
    if (rc == CDC_OK)
        rc = mys_rows_count(ev, bytes, rel->fields, ret, err);
    cdc_arena_free(arena);
    return rc;
}

/* Rows that are numbered and not emitted. */
static int pass_rows(struct mys_source *src, const struct mys_rel *rel, const struct mys_event *ev,
                     struct cdc_error *err)
{
    uint64_t n = 0;
    if (count_event(src, rel, ev, &n, err) < 0)
        return CDC_FAIL;
    return count_rows(src, n, ev->rows.rows, err) < 0 ? CDC_FAIL : CDC_OK;
}

static bool key_moved(const struct cdc_table *tab, const struct cdc_value *before,
                      const struct cdc_value *after)
{
    for (uint16_t i = 0; i < tab->n_key; i++)
        if (!cdc_value_eq(&before[tab->key[i]], &after[tab->key[i]]))
            return true;
    return false;
}

static int emit_row(struct mys_source *src, struct cdc_batch *batch, const struct mys_rel *rel,
                    struct mys_rows *rows, struct cdc_error *err)
{
    static const uint8_t ops[] = {CDC_OP_CREATE, CDC_OP_UPDATE, CDC_OP_DELETE};
    enum mys_op op = rows->ev->rows.op;
    size_t n = rel->n;
    const struct cdc_tx *tx = mys_tx_out(src, batch);
    struct cdc_value *vals =
        cdc_arena_alloc(batch->arena, (op == MYS_UPDATE ? 2 : 1) * n * sizeof *vals);
    if (!tx || !vals)
        return cdc_fail_oom(err);
    struct cdc_value *before = op == MYS_INSERT ? NULL : vals;
    struct cdc_value *after = op == MYS_UPDATE ? vals + n : op == MYS_INSERT ? vals : NULL;
    if (mys_rows_next(rows, before, after, err) != CDC_OK)
        return CDC_FAIL;
    src->tx.n++;
    if (rows->lost)
        return mys_gap_lost(src, batch, rel->tab, err);
    bool moved = op == MYS_UPDATE && key_moved(rel->tab, before, after);
    if (moved)
        mys_reread(src, rel, batch, after);
    struct cdc_change *chg = cdc_batch_add(batch, rel->tab);
    if (!chg)
        return cdc_fail_oom(err);
    chg->op = ops[op];
    chg->flags = moved ? CDC_KEY_MOVED : 0;
    chg->tx = tx;
    chg->before = before;
    chg->after = after;
    chg->ordinal = src->tx.n;
    return CDC_OK;
}

/* Every change must say of which row it is: the key is in the image, and the image is not empty. */
static int check_image(const struct mys_rel *rel, const struct mys_event *ev, struct cdc_error *err)
{
    const struct cdc_table *tab = rel->tab;
    const uint8_t *bits = ev->rows.before ? ev->rows.before : ev->rows.after;
    bool sound = ev->rows.n != rel->n; /* mys_rows_start says so */
    for (uint32_t i = 0; !sound && i < ev->rows.n; i++)
        sound = mys_bit(bits, i);
    for (uint16_t i = 0; sound && ev->rows.n == rel->n && i < tab->n_key; i++)
        sound = mys_bit(bits, tab->key[i]);
    if (sound)
        return CDC_OK;
    return cdc_fail(err, CDC_OPERATOR, tab->name,
                    "the log does not hold the key of each changed row of table %s.%s: SET GLOBAL "
                    "binlog_row_image = FULL, end the sessions that began before, and start again "
                    "from an empty sink; or leave the table out by `skip: true`",
                    tab->schema, tab->name);
}

static int check_size(const struct mys_source *src, const struct mys_rel *rel,
                      const struct mys_event *ev, struct cdc_error *err)
{
    if (ev->rows.rows.len <= src->srv.max_row)
        return CDC_OK;
    return cdc_fail(err, CDC_OPERATOR, rel->tab->name,
                    "a row of table %s.%s has %zu bytes, more than source.max_row_bytes (%zu): "
                    "raise it (three times as much memory is needed), or leave the table out by "
                    "`skip: true`",
                    rel->tab->schema, rel->tab->name, ev->rows.rows.len, src->srv.max_row);
}

static int emit_rows(struct mys_source *src, struct cdc_batch *batch, const struct mys_rel *rel,
                     const struct mys_event *ev, struct cdc_error *err)
{
    struct mys_tx *tx = &src->tx;
    struct cdc_slice bytes;
    struct mys_rows rows;
    if (check_size(src, rel, ev, err) < 0 || check_image(rel, ev, err) < 0 ||
        row_bytes(src, ev, true, batch->arena, &bytes, err) < 0 ||
        mys_rows_start(&rows, ev, bytes, rel->fields, rel->n, err) < 0)
        return CDC_FAIL;
    rows.arena = batch->arena;
    while (cdc_reader_left(&rows.rd) > 0)
        if (emit_row(src, batch, rel, &rows, err) < 0)
            return CDC_FAIL;
    tx->rows = true;
    tx->bytes += ev->rows.rows.len;
    if (src->srv.cfg->cuts)
        tx->crc = cdc_crc32c(tx->crc, ev->rows.rows.p, ev->rows.rows.len);
    return CDC_OK;
}

int mys_apply_rows(struct mys_source *src, struct cdc_batch *batch, const struct mys_event *ev,
                   struct cdc_error *err)
{
    struct mys_tx *tx = &src->tx;
    if (!tx->open)
        return protocol("rows outside a transaction", err);
    if (tx->skip || ev->rows.map_id == NO_MAP)
        return CDC_OK;
    const struct mys_rel *rel = mys_rel_find(src, ev->rows.map_id);
    if (!rel)
        return protocol("rows of a table that was not described", err);
    bool wanted = rel->tab && (ev->rows.op == MYS_INSERT || !rel->tab->rule->insert_only);
    if (!wanted || tx->n < tx->skip_rows)
        return pass_rows(src, rel, ev, err);
    return emit_rows(src, batch, rel, ev, err);
}

/* ---- statements ---- */

static bool says(const struct mys_event *ev, const char *word)
{
    return !ev->query.packed && cdc_slice_eq(ev->query.sql, cdc_slice_str(word));
}

static int on_begin(struct mys_source *src, const struct mys_event *ev, uint64_t pos,
                    struct cdc_error *err)
{
    if (!src->tx.open && begin(src, ev, pos, err) < 0)
        return CDC_FAIL;
    src->tx.stands_alone = false;
    return CDC_OK;
}

static int on_rollback(struct mys_source *src, struct cdc_batch *batch, struct cdc_error *err)
{
    struct mys_tx *tx = &src->tx;
    if (!tx->open)
        return protocol("a rollback does not belong to a transaction", err);
    bool unread = tx->prepares; /* its rows were kept, and which tables they are of was not seen */
    if (unread)
        tx->prepares = tx->skip = false;
    if (unread ? mys_gap_all(src, batch, NULL, undone, err) < 0
               : rolled_back(src, batch, true, err) < 0)
        return CDC_FAIL;
    return mys_apply_commit(src, batch, err);
}

/* RELEASE and SAVEPOINT undo nothing. What ROLLBACK TO undoes is in the log only where it could not
 * be left out; the server writes it in that form itself. */
static int on_savepoint(struct mys_source *src, struct cdc_batch *batch, const struct mys_event *ev,
                        struct cdc_error *err)
{
    if (ev->query.sql.len < 8 || memcmp(ev->query.sql.p, "ROLLBACK", 8) != 0)
        return CDC_OK;
    return rolled_back(src, batch, false, err);
}

static int on_xa_start(struct mys_source *src, const struct mys_event *ev, uint64_t pos,
                       struct cdc_error *err)
{
    if (on_begin(src, ev, pos, err) < 0)
        return CDC_FAIL;
    src->tx.prepares = !src->tx.skip || src->tx.prepares;
    src->tx.skip = true;
    return CDC_OK;
}

static int on_other(struct mys_source *src, struct cdc_batch *batch, const struct mys_event *ev,
                    const struct mys_statement *stmt, struct cdc_error *err)
{
    const struct mys_xid *xid = stmt->flags & MYS_UNSURE ? NULL : &stmt->xid;
    if (src->tx.idle)
        return CDC_OK;
    if (stmt->verb == MYS_V_XA_COMMIT)
        return src->tx.skip ? CDC_OK : mys_xa_commit(src, batch, ev, xid, err);
    if (stmt->verb != MYS_V_XA_ROLLBACK)
        return mys_statement_apply(src, batch, ev, stmt, err);
    return xid && !src->tx.skip ? mys_xa_rollback(src, batch, xid, err) : CDC_OK;
}

/* MariaDB's GTID event knows the second alone; a statement's own event more. */
static void refine_time(struct mys_source *src, const struct mys_event *ev)
{
    struct mys_session session;
    mys_session_read(ev->query.status, &session);
    if (src->facts.mariadb && src->tx.stands_alone && session.has_us)
        src->tx.at.us = (int64_t)ev->time_s * 1000000 + session.us;
}

/* A statement that is neither the begin nor the end of a transaction, but may be all of one. */
static int on_statement(struct mys_source *src, struct cdc_batch *batch, const struct mys_event *ev,
                        uint64_t pos, const struct mys_statement *stmt, struct cdc_error *err)
{
    if (!src->tx.open && begin(src, ev, pos, err) < 0)
        return CDC_FAIL;
    refine_time(src, ev);
    if (on_other(src, batch, ev, stmt, err) < 0)
        return CDC_FAIL;
    if (mys_xa_reading(src))
        return mys_xa_more(src, batch, 0, err) < 0 ? CDC_FAIL : CDC_OK;
    return src->tx.stands_alone ? mys_apply_commit(src, batch, err) : CDC_OK;
}

static int on_words(struct mys_source *src, struct cdc_batch *batch, const struct mys_event *ev,
                    uint64_t pos, const struct mys_statement *stmt, struct cdc_error *err)
{
    bool preparing = src->tx.prepares; /* then XA's words are of this very transaction */
    switch (stmt->verb) {
    case MYS_V_BEGIN: return on_begin(src, ev, pos, err);
    case MYS_V_COMMIT: return finish(src, batch, err);
    case MYS_V_ROLLBACK: return on_rollback(src, batch, err);
    case MYS_V_SAVEPOINT: return on_savepoint(src, batch, ev, err);
    case MYS_V_XA_START: return on_xa_start(src, ev, pos, err);
    case MYS_V_XA_END:
    case MYS_V_XA_PREPARE: return CDC_OK;
    case MYS_V_XA_COMMIT:
        if (preparing)
            return finish(src, batch, err);
        break;
    case MYS_V_XA_ROLLBACK:
        if (preparing)
            return on_rollback(src, batch, err);
        break;
    default: break;
    }
    return on_statement(src, batch, ev, pos, stmt, err);
}

static int on_query(struct mys_source *src, struct cdc_batch *batch, const struct mys_event *ev,
                    uint64_t pos, struct cdc_error *err)
{
    struct mys_statement stmt;
    if (says(ev, "BEGIN"))
        return on_begin(src, ev, pos, err);
    if (says(ev, "COMMIT"))
        return finish(src, batch, err);
    struct cdc_arena *arena = cdc_arena_new(src->srv.max_row * 4 + STATEMENT_MAX);
    if (!arena)
        return cdc_fail_oom(err);
    int rc = mys_statement_read(src, ev, arena, &stmt, err);
    if (rc == CDC_OK)
        rc = on_words(src, batch, ev, pos, &stmt, err);
    cdc_arena_free(arena);
    return rc;
}

int mys_apply(struct mys_source *src, struct cdc_batch *batch, struct mys_event *ev, uint64_t pos,
              struct cdc_error *err)
{
    struct mys_tx *tx = &src->tx;
    if (mys_decode(&src->fmt, ev, err) < 0)
        return CDC_FAIL;
    bool kept = ev->kind == MYS_TABLE_MAP || ev->kind == MYS_ROWS || ev->kind == MYS_QUERY;
    if (tx->prepares && kept && mys_xa_keep(src, ev, err) < 0)
        return CDC_FAIL;
    switch (ev->kind) {
    case MYS_GTID: return on_gtid(src, ev, pos, err);
    case MYS_QUERY: return on_query(src, batch, ev, pos, err);
    case MYS_TABLE_MAP: return tx->skip ? CDC_OK : mys_rel_set(src, ev, err);
    case MYS_ROWS: return mys_apply_rows(src, batch, ev, err);
    case MYS_XID: return finish(src, batch, err);
    case MYS_XA_PREPARE: return on_xa_prepare(src, batch, ev, err);
    default: return CDC_OK;
    }
}
