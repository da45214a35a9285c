/*
 * propose.c - `init`: a configuration out of what is in the database.
 *
 * Every table gets a rule of its own with a comment that tells its size, key and identity. What
 * only a person can decide is a comment: columns that look like times of change, marks of deletion
 * or personal data (cdc/propose.h), and what to do about a table without identity, whose rule
 * says `skip` until then. So the text can be used as it is, and taking a comment's # away is
 * enough.
 *
 * A database of very many tables would give a file larger than is read: there a rule for each
 * schema stands in place of those of its tables, behind the rules of those that cannot be captured.
 *
 * The password is never written. It is in the environment as PGPASSWORD when the file is used.
 */
#include "cdc/propose.h"
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>

enum table_col {
    T_OID,
    T_SCHEMA,
    T_NAME,
    T_SIZE,
    T_ROWS,
    T_IDENTITY,
    T_USABLE,
    T_KEY,
    T_INDEX,
    T_UNEVEN,
    T_PARTS
};

static const char tables_sql[] =
    "SELECT c.oid, n.nspname, c.relname,"
    " pg_size_pretty(coalesce(p.size, pg_total_relation_size(c.oid))), coalesce(p.rows,"
    " c.reltuples)::bigint, c.relreplident,"
    " CASE c.relreplident WHEN 'f' THEN true WHEN 'n' THEN false ELSE i.indrelid IS NOT NULL END,"
    " (SELECT string_agg(a.attname, ', ' ORDER BY array_position(k.indkey::int2[], a.attnum))"
    "  FROM pg_index k JOIN pg_attribute a ON a.attrelid = c.oid AND"
    "  a.attnum = ANY ((k.indkey::int2[])[0:k.indnkeyatts - 1])"
    "  WHERE k.indrelid = c.oid AND k.indisprimary),"
    " (SELECT quote_ident(x.relname) FROM pg_index u JOIN pg_class x ON x.oid = u.indexrelid WHERE "
    "u.indrelid = c.oid AND"
    "  u.indisunique AND u.indisvalid AND u.indimmediate AND u.indpred IS NULL AND"
    "  u.indexprs IS NULL AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid"
    "  AND a.attnum = ANY ((u.indkey::int2[])[0:u.indnkeyatts - 1]) AND NOT a.attnotnull)"
    "  ORDER BY u.indnkeyatts LIMIT 1),"
    " c.relkind = 'p' AND EXISTS (SELECT 1 FROM pg_partition_tree(c.oid) l JOIN pg_class lc"
    "  ON lc.oid = l.relid WHERE l.isleaf AND lc.relreplident <> c.relreplident),"
    " coalesce(p.parts, 0) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_index i ON i.indrelid = c.oid AND CASE c.relreplident"
    "  WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END"
    " LEFT JOIN LATERAL (SELECT sum(pg_total_relation_size(l.relid)) AS size,"
    "  sum(nullif(lc.reltuples, -1)) AS rows, count(*) FILTER (WHERE l.isleaf) AS parts"
    "  FROM pg_partition_tree(c.oid) l JOIN pg_class lc ON lc.oid = l.relid) p"
    "  ON c.relkind = 'p' "
    "WHERE c.relpersistence = 'p' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
    " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' "
    "ORDER BY 2, 3";

enum column_col { C_OID, C_NAME, C_TYPE, C_KEY };

/* Columns of the same tables in the same order; the type as enum cdc_hint_type. */
static const char columns_sql[] =
    "SELECT c.oid, a.attname, CASE WHEN b.oid IN (1082, 1114, 1184) THEN 0 WHEN b.oid = 16 THEN 1"
    " WHEN b.typcategory = 'S' THEN 2 ELSE 3 END,"
    " coalesce(a.attnum = ANY (i.indkey::int2[]), false) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    "  AND a.attgenerated = ''"
    " JOIN pg_type t ON t.oid = a.atttypid"
    " JOIN pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END"
    " LEFT JOIN pg_index i ON i.indrelid = c.oid AND CASE c.relreplident"
    "  WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END "
    "WHERE c.relpersistence = 'p' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
    " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' "
    "ORDER BY n.nspname, c.relname, a.attnum";

/* What is known, and the text that becomes of it. */
struct proposal {
    struct pgs_server srv;
    PGresult *tables, *columns;
    int column; /* the next one's row */
    struct cdc_buf *text;
    bool hashes; /* a hash was proposed */
};

static const char *cell(const struct proposal *prop, int row, enum table_col col)
{
    return PQgetvalue(prop->tables, row, col);
}

static bool is_true(const struct proposal *prop, int row, enum table_col col)
{
    return cell(prop, row, col)[0] == 't';
}

static bool can_be_captured(const struct proposal *prop, int row)
{
    return is_true(prop, row, T_USABLE) && !is_true(prop, row, T_UNEVEN);
}

static const char *url_part(const struct proposal *prop, const char *keyword)
{
    for (const PQconninfoOption *opt = prop->srv.url; opt->keyword; opt++)
        if (strcmp(opt->keyword, keyword) == 0)
            return opt->val;
    return NULL;
}

/* host and port may be lists, host an address of version 6 or a path. */
static void put_host(const struct proposal *prop, struct cdc_buf *text)
{
    const char *host = url_part(prop, "host"), *port = url_part(prop, "port");
    bool path = host && strchr(host, '/'),
         list = (host && strchr(host, ',')) || (port && strchr(port, ','));
    if (host && !path && !list && strchr(host, ':')) {
        cdc_buf_printf(text, "[%s]", host);
    } else if (host && !path && !list) {
        cdc_name_url(text, host);
    }
    if (port && !path && !list)
        cdc_buf_printf(text, ":%s", port);
}

/* What does not stand before the `?`. */
static void put_parameters(const struct proposal *prop, struct cdc_buf *text)
{
    const char *host = url_part(prop, "host"), *port = url_part(prop, "port");
    bool behind = (host && strpbrk(host, "/,")) || (port && strchr(port, ','));
    const char *glue = "?";
    for (const PQconninfoOption *opt = prop->srv.url; opt->keyword; opt++) {
        const char *key = opt->keyword;
        bool before = strcmp(key, "user") == 0 || strcmp(key, "password") == 0 ||
                      strcmp(key, "dbname") == 0 ||
                      (!behind && (strcmp(key, "host") == 0 || strcmp(key, "port") == 0));
        if (!opt->val || before || strcmp(key, "replication") == 0)
            continue;
        cdc_buf_printf(text, "%s%s=", glue, key);
        if (opt->dispchar[0] == '*') /* another password */
            cdc_buf_str(text, "${env:PGSSLPASSWORD}");
        else
            cdc_name_url(text, opt->val);
        glue = "&";
    }
}

/* Nothing in it needs more than the single quotes: cdc_name_url lets nothing odd through. */
static void put_url(const struct proposal *prop, struct cdc_buf *text)
{
    const char *user = url_part(prop, "user");
    bool password = url_part(prop, "password") || getenv("PGPASSWORD");
    cdc_buf_str(text, "  url: 'postgresql://");
    if (user)
        cdc_name_url(text, user);
    if (user && password)
        cdc_buf_str(text, ":${env:PGPASSWORD}");
    if (user)
        cdc_buf_byte(text, '@');
    put_host(prop, text);
    cdc_buf_byte(text, '/');
    cdc_name_url(text, url_part(prop, "dbname"));
    put_parameters(prop, text);
    cdc_buf_str(text, "'\n");
    if (user && password)
        cdc_buf_str(text, "  # The password is in the environment, odd characters in it as %XX.\n");
}

static void put_head(const struct proposal *prop, const char *name)
{
    struct cdc_buf what = CDC_BUF(4096);
    cdc_buf_printf(&what, "database %s (PostgreSQL %d)", prop->srv.database,
                   prop->srv.version / 10000);
    const char *text = cdc_buf_cstr(&what);
    cdc_propose_head(prop->text, text ? text : "", name, "postgres");
    cdc_buf_done(&what);
    put_url(prop, prop->text);
}

/* # public.users: 12 MB, about 120000 rows; key id; replica identity full */
static void put_facts(const struct proposal *prop, int row)
{
    struct cdc_buf *text = prop->text;
    const char *identity = cell(prop, row, T_IDENTITY), *rows = cell(prop, row, T_ROWS);
    cdc_buf_str(text, "\n  # ");
    cdc_name_comment(text, cell(prop, row, T_SCHEMA));
    cdc_buf_byte(text, '.');
    cdc_name_comment(text, cell(prop, row, T_NAME));
    cdc_buf_printf(text, ": %s, ", cell(prop, row, T_SIZE));
    if (rows[0] == '-')
        cdc_buf_str(text, "rows not counted yet (ANALYZE)");
    else
        cdc_buf_printf(text, "about %s row%s", rows, strcmp(rows, "1") == 0 ? "" : "s");
    if (cell(prop, row, T_PARTS)[0] != '0')
        cdc_buf_printf(text, " in %s partition(s)", cell(prop, row, T_PARTS));
    cdc_buf_str(text, PQgetisnull(prop->tables, row, T_KEY) ? "; no primary key" : "; key ");
    cdc_name_comment(text, cell(prop, row, T_KEY));
    if (identity[0] != 'd')
        cdc_buf_printf(text, "; replica identity %s",
                       identity[0] == 'f'   ? "full"
                       : identity[0] == 'i' ? "by another index"
                                            : "nothing");
    cdc_buf_byte(text, '\n');
}

/* Why it is skipped, and the ways out. */
static void put_remedy(const struct proposal *prop, int row)
{
    struct cdc_buf *text = prop->text, table = CDC_BUF(1024), *to = &table;
    bool uneven = is_true(prop, row, T_USABLE), key = !PQgetisnull(prop->tables, row, T_KEY);
    pgs_table_put(to, cell(prop, row, T_SCHEMA), cell(prop, row, T_NAME));
    cdc_buf_str(text, uneven
                          ? "  # Its partitions have other replica identities than itself. Give "
                            "all of them the same:\n  #   ALTER TABLE "
                          : "  # Without a replica identity its UPDATE and DELETE would fail once "
                            "it is published. Give it a\n  # primary key, or one of:\n"
                            "  #   ALTER TABLE ");
    const char *name = cdc_buf_cstr(to);
    cdc_name_comment(text, name ? name : "");
    if (uneven || key) {
        cdc_buf_str(text, uneven ? " REPLICA IDENTITY DEFAULT; -- and the same on each partition\n"
                                 : " REPLICA IDENTITY DEFAULT;\n");
    } else if (!PQgetisnull(prop->tables, row, T_INDEX)) {
        cdc_buf_str(text, " REPLICA IDENTITY USING INDEX ");
        cdc_name_comment(text, cell(prop, row, T_INDEX));
        cdc_buf_str(text, ";\n");
    } else {
        cdc_buf_str(text, " REPLICA IDENTITY FULL;\n");
    }
    cdc_buf_str(text, uneven ? "  # and take `skip` out. Until then it is left out.\n"
                             : "  # and take `skip` out; or capture its inserts alone (updates and "
                               "deletes leave no trace).\n");
    cdc_buf_done(to);
}

/* The columns of the table at `row`; they come in the tables' order. */
static void put_columns(struct proposal *prop, int row)
{
    struct cdc_hints hints = {0};
    int n = PQntuples(prop->columns), at = prop->column;
    while (at < n && strcmp(PQgetvalue(prop->columns, at, C_OID), cell(prop, row, T_OID)) != 0)
        at++;
    for (; at < n && strcmp(PQgetvalue(prop->columns, at, C_OID), cell(prop, row, T_OID)) == 0;
         prop->column = ++at)
        cdc_hints_take(&hints, PQgetvalue(prop->columns, at, C_NAME),
                       (enum cdc_hint_type)atoi(PQgetvalue(prop->columns, at, C_TYPE)),
                       PQgetvalue(prop->columns, at, C_KEY)[0] == 't');
    prop->hashes |= cdc_hints_put(&hints, prop->text);
    cdc_hints_done(&hints);
}

static void put_table(struct proposal *prop, int row)
{
    struct cdc_buf *text = prop->text;
    bool good = can_be_captured(prop, row);
    put_facts(prop, row);
    if (!good)
        put_remedy(prop, row);
    cdc_buf_str(text, "  - tables: ");
    cdc_name_pattern(text, cell(prop, row, T_SCHEMA), cell(prop, row, T_NAME));
    cdc_buf_str(text, good ? "\n" : "\n    skip: true\n");
    if (!good && !is_true(prop, row, T_USABLE))
        cdc_buf_str(text, "    # insert_only: true\n");
    if (good)
        put_columns(prop, row);
}

/* `- tables: schema.*` for each schema; commented where the tables have rules of their own. */
static void put_schemas(struct proposal *prop, bool comment)
{
    int n = PQntuples(prop->tables);
    cdc_buf_str(prop->text, comment ? "\n  # Tables that are made later:\n" : "\n");
    for (int row = 0; row < n; row++)
        if (row == 0 || strcmp(cell(prop, row, T_SCHEMA), cell(prop, row - 1, T_SCHEMA)) != 0)
            cdc_propose_schema(prop->text, cell(prop, row, T_SCHEMA), comment);
}

static void put_rules(struct proposal *prop)
{
    int n = PQntuples(prop->tables);
    cdc_buf_str(prop->text, "\ncapture:   # the first rule that takes a table says what is done "
                            "with it\n");
    for (int row = 0; row < n; row++)
        if (n <= CDC_PROPOSE_TABLES || !can_be_captured(prop, row))
            put_table(prop, row);
    if (n > 0)
        put_schemas(prop, n <= CDC_PROPOSE_TABLES);
    else
        cdc_buf_str(prop->text, "  # There is no table yet.\n  - tables: public.*\n");
    cdc_buf_str(prop->text, "\n  # Logical messages (pg_logical_emit_message), by prefix:\n"
                            "  # - messages: [\"*\"]\n");
}

static int look(struct proposal *prop, struct cdc_error *err)
{
    if (pgs_query(&prop->srv, tables_sql, NULL, &prop->tables, err) < 0 ||
        pgs_query(&prop->srv, columns_sql, NULL, &prop->columns, err) < 0)
        return CDC_FAIL;
    return CDC_OK;
}

static int no_url(struct cdc_error *err)
{
    return cdc_fail(err, CDC_CONFIG, "init",
                    "the URL is no PostgreSQL URL with a database; it looks like "
                    "postgresql://user@host:5432/database, odd characters as %%XX");
}

int pgs_propose(const char *url, struct cdc_buf *ret, struct cdc_error *err)
{
    static const struct cdc_config cfg = {.path = "", .name = "init"};
    struct proposal prop = {.srv = {.cfg = &cfg}, .text = ret};
    char name[42], *why = NULL;
    if (strncmp(url, "postgresql://", 13) != 0 && strncmp(url, "postgres://", 11) != 0)
        return CDC_END;
    prop.srv.url = PQconninfoParse(url, &why);
    PQfreemem(why); /* quotes the URL, and so the password */
    int rc = prop.srv.url && url_part(&prop, "dbname") ? look(&prop, err) : no_url(err);
    if (rc == CDC_OK) {
        cdc_name_pipeline(prop.srv.database, name);
        put_head(&prop, name);
        put_rules(&prop);
        cdc_propose_tail(ret, name, prop.hashes);
        rc = ret->failed ? cdc_fail_oom(err) : CDC_OK;
    }
    PQclear(prop.tables);
    PQclear(prop.columns);
    pgs_server_done(&prop.srv);
    return rc;
}
