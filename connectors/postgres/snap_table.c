/*
 * snap_table.c - one table as the catalogue shows it, for those who read its rows.
 *
 * A table is described to relation.c as the stream would describe it, so that the same code makes
 * the same cdc_table of it, of the version that is known where nothing differs. A column list or
 * row filter that somebody gave the publication is repeated.
 *
 * The *shape* is a text that differs when an old snapshot may read the table wrong, when our
 * columns are not its own, or when it is published otherwise: its files and those of its
 * partitions, columns, identity, membership. Under an old snapshot a table that was rewritten or
 * truncated since reads as empty, without an error. The shape is asked for by plain SQL over the
 * catalogue and nothing that looks past the snapshot (pg_relation_filenode, pg_partition_tree and
 * pg_publication_tables do), so it can be had twice: as the snapshot has it, and as it is now,
 * under a lock. When the two are one, nothing of that kind lies between; no lock has to be held
 * before, and nothing be noted. When the publication had the table in the snapshot, the stream has
 * all that commits behind the snapshot.
 */
#include "snap.h"

#include <stdio.h>
#include <stdlib.h>

enum desc_col { D_OID, D_KIND, D_IDENTITY, D_READ, D_FILTER, D_NAME, D_TYPE, D_TYPMOD, D_KEY };

/* The columns that the stream has, in its order. */
#define DESCRIBE(filter, join, column, wanted)                                                     \
    "SELECT c.oid, c.relkind, c.relreplident, has_table_privilege(c.oid, 'SELECT'), " filter       \
    " , a.attname, a.atttypid, a.atttypmod,"                                                       \
    " c.relreplident = 'f' OR coalesce(a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]),"  \
    "  false) "                                                                                    \
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace" join                           \
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"           \
    "  AND " column " LEFT JOIN pg_index i ON i.indrelid = c.oid AND CASE c.relreplident"          \
    "  WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END "                \
    "WHERE n.nspname = $1 AND c.relname = $2 AND " wanted " ORDER BY a.attnum"

/* pg_publication_tables makes a row of each table of the publication, whichever is asked for. */
static const char describe_sql[] =
    DESCRIBE("to_jsonb(t)->>'rowfilter'",
             " LEFT JOIN pg_publication_tables t ON t.pubname = $3 AND t.schemaname = n.nspname"
             "  AND t.tablename = c.relname",
             "(a.attgenerated = '' OR (current_setting('server_version_num')::int >= 180000 AND"
             " coalesce(to_jsonb(t)->'attnames' ? a.attname::text, false)))",
             "CASE jsonb_typeof(to_jsonb(t)->'attnames') WHEN 'array' THEN"
             " to_jsonb(t)->'attnames' ? a.attname::text ELSE true END");

/*
 * So it is asked about tables alone of which it may know more: a list of columns, a filter (both
 * since 15), columns that are generated. The fifth column is not NULL of such, in place of the
 * filter; all other tables are described by this. One whose columns are all generated has no rows.
 */
static const char describe_plain_sql[] = DESCRIBE(
    "(SELECT 'x' WHERE (SELECT coalesce(to_jsonb(r)->>'prqual', to_jsonb(r)->>'prattrs') FROM"
    " pg_publication_rel r WHERE r.prrelid = c.oid AND r.prpubid = (SELECT p.oid FROM"
    " pg_publication p WHERE p.pubname = $3)) IS NOT NULL OR (SELECT bool_or(g.attgenerated <> '')"
    " FROM pg_attribute g WHERE g.attrelid = c.oid AND g.attnum > 0 AND NOT g.attisdropped))",
    "", "a.attgenerated = ''", "true");

/* 'p' or '-' (published or not), then what makes the shape. */
#define SHAPE(schema_published)                                                                    \
    "WITH RECURSIVE c AS (SELECT c.oid, c.relkind, c.relreplident FROM pg_class c"                 \
    "  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2),"    \
    " down(oid) AS (SELECT oid FROM c UNION ALL SELECT i.inhrelid FROM down d JOIN pg_inherits i"  \
    "  ON i.inhparent = d.oid JOIN pg_class k ON k.oid = i.inhrelid AND k.relispartition),"        \
    " up(oid) AS (SELECT oid FROM c UNION ALL SELECT i.inhparent FROM up u JOIN pg_inherits i"     \
    "  ON i.inhrelid = u.oid JOIN pg_class k ON k.oid = i.inhrelid AND k.relispartition),"         \
    " p AS (SELECT oid, puballtables FROM pg_publication WHERE pubname = $3),"                     \
    " r AS (SELECT string_agg(r::text, ',' ORDER BY r.oid) AS t FROM pg_publication_rel r JOIN p"  \
    "  ON p.oid = r.prpubid WHERE r.prrelid IN (SELECT oid FROM up)) "                             \
    "SELECT concat_ws('/', CASE WHEN (SELECT t FROM r) IS NOT NULL OR EXISTS (SELECT FROM p"       \
    "  WHERE puballtables)" schema_published " THEN 'p' ELSE '-' END, c.oid, c.relkind,"           \
    " c.relreplident, (SELECT string_agg(k.oid || '=' || k.relfilenode, ',' ORDER BY k.oid)"       \
    "  FROM pg_class k WHERE k.oid IN (SELECT oid FROM down)),"                                    \
    " (SELECT string_agg(concat_ws(':', a.attnum, a.atttypid, a.atttypmod, a.attisdropped,"        \
    "  a.attgenerated, a.attname), ',' ORDER BY a.attnum) FROM pg_attribute a"                     \
    "  WHERE a.attrelid = c.oid AND a.attnum > 0),"                                                \
    " (SELECT string_agg(concat_ws(':', i.indexrelid, i.indkey, i.indisprimary,"                   \
    "  i.indisreplident), ',' ORDER BY i.indexrelid) FROM pg_index i"                              \
    "  WHERE i.indrelid = c.oid AND (i.indisprimary OR i.indisreplident)),"                        \
    " md5((SELECT t FROM r))) FROM c"

static const char shape_sql_14[] = SHAPE("");
static const char shape_sql[] =
    SHAPE(" OR EXISTS (SELECT FROM pg_publication_namespace s JOIN p ON p.oid = s.pnpubid"
          " JOIN pg_class k ON k.relnamespace = s.pnnspid JOIN up ON up.oid = k.oid)");

static const char *shape_text(const struct pgs_source *src)
{
    return src->srv.version < 150000 ? shape_sql_14 : shape_sql;
}

static int take_shape(const PGresult *res, char **ret, struct cdc_error *err)
{
    *ret = NULL;
    if (PQntuples(res) == 0)
        return CDC_OK;
    *ret = strdup(PQgetvalue(res, 0, 0));
    return *ret ? CDC_OK : cdc_fail_oom(err);
}

int pgs_shape_then(struct pgs_session *ses, const struct pgs_which *which, char **ret,
                   struct cdc_error *err)
{
    const char *args[] = {which->schema, which->name, which->pub, NULL};
    PGS_CLEAR PGresult *res = NULL;
    int rc = pgs_session_ask(ses, PGS_ASK_SHAPE, shape_text(ses->src), args, &res, err);
    return rc == CDC_OK ? take_shape(res, ret, err) : rc;
}

int pgs_shape_now(struct pgs_source *src, const struct pgs_which *which, char **ret,
                  struct cdc_error *err)
{
    if (pgs_sql(&src->srv, err) < 0)
        return CDC_FAIL;
    struct pgs_session ses = pgs_session_of(src);
    return pgs_shape_then(&ses, which, ret, err) == CDC_OK ? CDC_OK : CDC_FAIL;
}

bool pgs_shape_published(const char *shape)
{
    return shape[0] == 'p';
}

static int may_not_read(struct pgs_source *src, const struct pgs_which *which,
                        struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF(2048);
    cdc_buf_str(&sql, "GRANT SELECT ON ");
    pgs_table_put(&sql, which->schema, which->name);
    cdc_buf_str(&sql, " TO ");
    pgs_ident_put(&sql, PQuser(src->srv.sql));
    const char *text = cdc_buf_cstr(&sql);
    int rc = cdc_fail(err, CDC_OPERATOR, "postgres",
                      "the role may not read table %s.%s: %s; (and USAGE on its schema)",
                      which->schema, which->name, text ? text : "");
    cdc_buf_done(&sql);
    return rc;
}

/* What tells this description from another one: its texts, and the version known by now. */
static void put_raw(const struct pgs_source *src, const struct pgs_which *which,
                    const PGresult *res, struct cdc_buf *ret)
{
    struct cdc_buf key = CDC_BUF(4096);
    cdc_buf_printf(&key, "table/%s.%s", which->schema, which->name);
    const char *text = cdc_buf_cstr(&key);
    struct cdc_slice known = text ? cdc_map_get(&src->known, text) : cdc_slice_of(NULL, 0);
    cdc_buf_put(ret, known.p, known.len);
    for (int i = 0; i < PQntuples(res); i++)
        for (int k = D_OID; k <= D_KEY; k++)
            cdc_buf_put(ret, PQgetvalue(res, i, k), (size_t)PQgetlength(res, i, k) + 1);
    cdc_buf_done(&key);
}

/* The catalogue's description as the relation message that the stream would send. */
static int describe(struct pgs_source *src, const struct pgs_which *which, const PGresult *res,
                    struct cdc_error *err)
{
    int n = PQntuples(res);
    struct pgs_msg msg = {.type = 'R'};
    msg.relation.oid = (uint32_t)strtoul(PQgetvalue(res, 0, D_OID), NULL, 10);
    msg.relation.schema = which->schema;
    msg.relation.name = which->name;
    msg.relation.identity = (uint8_t)PQgetvalue(res, 0, D_IDENTITY)[0];
    msg.relation.n = (uint16_t)n;
    msg.relation.cols = src->room->cols;
    for (int i = 0; i < n && i < CDC_COLUMNS_MAX; i++)
        src->room->cols[i] = (struct pgs_row_column){
            .flags = PQgetvalue(res, i, D_KEY)[0] == 't',
            .name = PQgetvalue(res, i, D_NAME),
            .type = (uint32_t)strtoul(PQgetvalue(res, i, D_TYPE), NULL, 10),
            .typmod = (int32_t)strtol(PQgetvalue(res, i, D_TYPMOD), NULL, 10)};
    struct cdc_buf raw = CDC_BUF((size_t)64 << 20);
    put_raw(src, which, res, &raw);
    int rc = raw.failed ? cdc_fail_oom(err) : pgs_rel_set(src, &msg, cdc_buf_slice(&raw), err);
    cdc_buf_done(&raw);
    return rc;
}

static int fill(struct pgs_source *src, const PGresult *res, struct pgs_seen *ret,
                struct cdc_error *err)
{
    ret->rel = pgs_rel_find(src, (uint32_t)strtoul(PQgetvalue(res, 0, D_OID), NULL, 10));
    ret->partitioned = PQgetvalue(res, 0, D_KIND)[0] == 'p';
    if (PQgetisnull(res, 0, D_FILTER))
        return CDC_OK;
    ret->filter = strdup(PQgetvalue(res, 0, D_FILTER));
    return ret->filter ? CDC_OK : cdc_fail_oom(err);
}

static int ask_columns(struct pgs_source *src, const struct pgs_which *which, PGresult **ret,
                       struct cdc_error *err)
{
    const char *args[] = {which->schema, which->name, which->pub, NULL};
    PGresult *res = NULL;
    if (pgs_sql(&src->srv, err) < 0)
        return CDC_FAIL;
    struct pgs_session ses = pgs_session_of(src);
    if (pgs_session_ask(&ses, PGS_ASK_TABLE, describe_plain_sql, args, &res, err) != CDC_OK)
        return CDC_FAIL;
    if (PQntuples(res) > 0 && PQgetisnull(res, 0, D_FILTER)) {
        *ret = res;
        return CDC_OK;
    }
    PQclear(res);
    if (pgs_query(&src->srv, describe_sql, args, ret, err) < 0)
        return CDC_FAIL;
    return PQntuples(*ret) > 0 ? CDC_OK : CDC_END;
}

static int take_now(struct pgs_source *src, const struct pgs_which *which, char **ret,
                    struct cdc_error *err)
{
    if (!which->shape)
        return pgs_shape_now(src, which, ret, err);
    *ret = strdup(which->shape);
    return *ret ? CDC_OK : cdc_fail_oom(err);
}

int pgs_see(struct pgs_source *src, const struct pgs_which *which, struct pgs_seen *ret,
            struct cdc_error *err)
{
    PGS_CLEAR PGresult *res = NULL;
    struct pgs_seen seen = {.rel = NULL};
    if (take_now(src, which, &seen.shape, err) < 0)
        return CDC_FAIL;
    int rc = seen.shape ? ask_columns(src, which, &res, err) : CDC_END;
    if (rc == CDC_OK && PQgetvalue(res, 0, D_READ)[0] != 't')
        rc = may_not_read(src, which, err);
    if (rc == CDC_OK)
        rc = describe(src, which, res, err);
    if (rc == CDC_OK)
        rc = fill(src, res, &seen, err);
    if (rc == CDC_OK && !seen.rel->tab)
        rc = CDC_END;
    if (rc == CDC_OK)
        *ret = seen;
    else
        pgs_seen_done(&seen);
    return rc;
}

void pgs_seen_done(struct pgs_seen *seen)
{
    free(seen->shape);
    free(seen->filter);
    *seen = (struct pgs_seen){.rel = NULL};
}

int pgs_in_the_way(struct pgs_source *src, uint32_t table, int session, struct cdc_error *err)
{
    char oid[16], pid[16];
    const char *args[] = {oid, pid, NULL};
    PGS_CLEAR PGresult *res = NULL;
    snprintf(oid, sizeof oid, "%u", table);
    snprintf(pid, sizeof pid, "%d", session);
    if (pgs_sql(&src->srv, err) < 0)
        return CDC_FAIL;
    /* The tree is asked for with locks on the partitions: CDC_AGAIN, as for any that is not had. */
    struct pgs_session ses = pgs_session_of(src);
    int rc =
        pgs_session_run(&ses,
                        "SELECT 1 FROM pg_locks w WHERE NOT w.granted AND w.locktype = 'relation'"
                        " AND w.database = (SELECT oid FROM pg_database WHERE datname ="
                        " current_database()) AND (w.relation = $1::oid OR w.relation IN"
                        " (SELECT relid FROM pg_partition_tree($1::oid)))"
                        " AND $2::int = ANY (pg_blocking_pids(w.pid)) LIMIT 1",
                        args, &res, err);
    if (rc == CDC_OK && PQntuples(res) > 0)
        rc = CDC_AGAIN;
    return rc;
}
