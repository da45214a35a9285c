/*
 * catalogue.c - information_schema: the columns of one table. catalogue_list.c: the tables.
 *
 * Every query names a schema, those for columns a table too, as constants: MariaDB opens what is
 * not excluded so, and with 10,000 tables that is felt. Joins would lose the constants, hence
 * several small queries.
 *
 *   key        a column is in it if COLUMN_KEY says PRI. Both servers take the first UNIQUE index
 *              without NULLs where there is no primary key, in the log as well. Several columns:
 *              STATISTICS has their order, and SHOW INDEX which index is the first. A part of a
 *              column (SUB_PART) counts as the column
 *   JSON       on MariaDB LONGTEXT with a CHECK of json_valid
 *   hidden     MySQL hides a generated primary key if it is told to; MariaDB always hides the two
 *              columns of WITH SYSTEM VERSIONING that nobody declared, which are in the log
 *   collation  information_schema has names, the log has numbers. MariaDB 10.10 and newer keep the
 *              numbers of the new collations, one for each charset, in another table
 */
#include "catalogue.h"
#include "infotype.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define SQL_MAX 8192

bool mys_is_system(const char *schema)
{
    static const char *const names[] = {"mysql", "sys", "information_schema", "performance_schema"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcasecmp(schema, names[i]) == 0)
            return true;
    return false;
}

/* ---- one table ---- */

struct look {
    struct mys_ask ask;
    bool versioned; /* MariaDB: WITH SYSTEM VERSIONING */
    bool declared;  /* it names its columns for that itself */
    uint32_t n;
    struct mys_info_row *rows;
    struct mys_info_column *infos;
    bool *primary;
};

/* Text of a cell that lives as long as the arena; NULL where the cell is. */
static const char *keep(const struct look *look, const char *cell, bool *ret_full)
{
    const char *copy = cdc_arena_strdup(look->ask.arena, cell);
    *ret_full |= cell && !copy;
    return copy;
}

/* select, then the names of schema and table as conditions on the columns `by` names, then order.
 */
static int ask(const struct look *look, const char *select, const char *by, const char *order,
               MYSQL_RES **ret, struct cdc_error *err)
{
    struct cdc_buf sql = CDC_BUF(SQL_MAX);
    cdc_buf_printf(&sql, "%s WHERE %s = ", select, by);
    mys_literal_put(&sql, look->ask.schema);
    cdc_buf_str(&sql, " AND TABLE_NAME = ");
    mys_literal_put(&sql, look->ask.name);
    cdc_buf_str(&sql, order);
    const char *text = cdc_buf_cstr(&sql);
    int rc = text ? mys_query(look->ask.conn, text, ret, err) : cdc_fail_oom(err);
    cdc_buf_done(&sql);
    return rc;
}

static int read_kind(struct look *look, enum mys_cat_kind *ret, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    if (ask(look, "SELECT TABLE_TYPE FROM information_schema.TABLES", "TABLE_SCHEMA", "", &res,
            err) < 0)
        return CDC_FAIL;
    MYSQL_ROW row = mysql_fetch_row(res);
    if (!row || !row[0])
        return CDC_END;
    look->versioned = strcmp(row[0], "SYSTEM VERSIONED") == 0;
    *ret = look->versioned || strcmp(row[0], "BASE TABLE") == 0 ? MYS_CAT_BASE
           : strcmp(row[0], "SEQUENCE") == 0                    ? MYS_CAT_SEQUENCE
                                                                : MYS_CAT_OTHER;
    return CDC_OK;
}

enum { C_NAME, C_TYPE, C_DEFAULT, C_NULLABLE, C_KEY, C_EXTRA, C_GENERATED, C_COLLATION };

#define COLUMNS_OF(ids, by)                                                                        \
    "SELECT COLUMN_NAME, COLUMN_TYPE, COLUMN_DEFAULT, IS_NULLABLE, COLUMN_KEY, EXTRA,"             \
    " GENERATION_EXPRESSION, k.ID "                                                                \
    "FROM information_schema.COLUMNS c LEFT JOIN information_schema." ids " k ON k." by            \
    " = c.COLLATION_NAME"

static const char *columns_sql(const struct mys_facts *facts)
{
    return facts->mariadb && facts->version >= 101001
               ? COLUMNS_OF("COLLATION_CHARACTER_SET_APPLICABILITY", "FULL_COLLATION_NAME")
               : COLUMNS_OF("COLLATIONS", "COLLATION_NAME");
}

/* MariaDB writes a default as an expression, and NULL where there is none. */
static const char *default_of(const struct look *look, const char *cell)
{
    return cell && look->ask.facts->mariadb && strcmp(cell, "NULL") == 0 ? NULL : cell;
}

static int take_column(struct look *look, MYSQL_ROW row, struct cdc_error *err)
{
    bool full = false;
    uint32_t i = look->n++;
    look->rows[i] = (struct mys_info_row){
        .name = keep(look, row[C_NAME], &full),
        .type = keep(look, row[C_TYPE], &full),
        .extra = keep(look, row[C_EXTRA] ? row[C_EXTRA] : "", &full),
        .collation = row[C_COLLATION] ? (uint32_t)strtoul(row[C_COLLATION], NULL, 10) : 0,
        .nullable = strcmp(row[C_NULLABLE], "YES") == 0,
    };
    look->infos[i] =
        (struct mys_info_column){.name = look->rows[i].name,
                                 .type = look->rows[i].type,
                                 .dflt = keep(look, default_of(look, row[C_DEFAULT]), &full),
                                 .collation = look->rows[i].collation};
    look->declared |= row[C_GENERATED] && strcmp(row[C_GENERATED], "ROW START") == 0;
    look->primary[i] = row[C_KEY] && strcmp(row[C_KEY], "PRI") == 0;
    return full ? cdc_fail_oom(err) : CDC_OK;
}

/* MySQL: also the generated primary key, if it is set to be hidden. An old server refuses. */
int mys_show_all(MYSQL *conn, const struct mys_facts *facts, struct cdc_error *err)
{
    if (facts->mariadb || facts->version < 80030)
        return CDC_OK;
    return mys_query(conn, "SET SESSION show_gipk_in_create_table_and_information_schema = ON",
                     NULL, err);
}

static int room_for(struct look *look, size_t n, struct cdc_error *err)
{
    look->rows = cdc_arena_zalloc(look->ask.arena, n * sizeof *look->rows);
    look->infos = cdc_arena_zalloc(look->ask.arena, n * sizeof *look->infos);
    look->primary = cdc_arena_zalloc(look->ask.arena, n * sizeof *look->primary);
    return look->rows && look->infos && look->primary ? CDC_OK : cdc_fail_oom(err);
}

static int read_columns(struct look *look, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    if (mys_show_all(look->ask.conn, look->ask.facts, err) < 0 ||
        ask(look, columns_sql(look->ask.facts), "TABLE_SCHEMA", " ORDER BY ORDINAL_POSITION", &res,
            err) < 0 ||
        room_for(look, (size_t)mysql_num_rows(res) + 2, err) < 0)
        return CDC_FAIL;
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(res)))
        if (take_column(look, row, err) < 0)
            return CDC_FAIL;
    return look->n ? CDC_OK : CDC_END;
}

static uint32_t find_column(const struct look *look, const char *name)
{
    uint32_t i = 0;
    while (i < look->n && strcmp(look->infos[i].name, name) != 0)
        i++;
    return i;
}

/*
 * What MariaDB adds to WITH SYSTEM VERSIONING where the table does not declare it, as the last
 * columns; row_end is the last column of the key.
 */
static void add_period(struct look *look)
{
    static const char *const names[] = {"row_start", "row_end"};
    uint16_t key = 0;
    if (!look->versioned || look->declared)
        return;
    for (uint32_t i = 0; i < look->n; i++)
        key += look->infos[i].key != 0;
    for (unsigned i = 0; i < 2; i++, look->n++) {
        look->rows[look->n] =
            (struct mys_info_row){.name = names[i], .type = "timestamp(6)", .extra = ""};
        look->infos[look->n] = (struct mys_info_column){
            .name = names[i], .type = "timestamp(6)", .key = key && i ? key + 1 : 0};
    }
}

/* Rows of an index, in its order; either query gives them. */
enum { K_INDEX = 2, K_PLACE, K_COLUMN };

/* Has the index that begins at row `from` just the key's columns? Ends behind it. */
static bool is_key(const struct look *look, MYSQL_RES *res, uint64_t from, uint64_t *ret_end)
{
    char index[256] = "";
    unsigned want = 0, have = 0;
    bool all = true;
    for (uint32_t i = 0; i < look->n; i++)
        want += look->primary[i];
    mysql_data_seek(res, from);
    MYSQL_ROW row;
    for (*ret_end = from; (row = mysql_fetch_row(res)); ++*ret_end) {
        if (*ret_end == from)
            snprintf(index, sizeof index, "%s", row[K_INDEX]);
        if (strcmp(index, row[K_INDEX]) != 0)
            break;
        uint32_t i = row[K_COLUMN] ? find_column(look, row[K_COLUMN]) : look->n;
        all &= i < look->n && look->primary[i];
        have++;
    }
    return all && have == want;
}

static void take_key(struct look *look, MYSQL_RES *res, uint64_t from, uint64_t end)
{
    mysql_data_seek(res, from);
    for (; from < end; from++) {
        MYSQL_ROW row = mysql_fetch_row(res);
        look->infos[find_column(look, row[K_COLUMN])].key =
            (uint16_t)strtoul(row[K_PLACE], NULL, 10);
    }
}

/* No primary key: the first index of those with the right columns, in the server's own order. */
static int read_unique(struct look *look, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    struct cdc_buf sql = CDC_BUF(SQL_MAX);
    cdc_buf_str(&sql, "SHOW INDEX FROM ");
    mys_table_put(&sql, look->ask.schema, look->ask.name);
    cdc_buf_str(&sql, " WHERE Non_unique = 0");
    const char *text = cdc_buf_cstr(&sql);
    int rc = text ? mys_query(look->ask.conn, text, &res, err) : cdc_fail_oom(err);
    cdc_buf_done(&sql);
    if (rc < 0)
        return CDC_FAIL;
    for (uint64_t from = 0, end; from < mysql_num_rows(res); from = end)
        if (is_key(look, res, from, &end)) {
            take_key(look, res, from, end);
            break;
        }
    return CDC_OK;
}

static int read_key(struct look *look, struct cdc_error *err)
{
    uint16_t n = 0;
    for (uint32_t i = 0; i < look->n; i++)
        if (look->primary[i])
            look->infos[i].key = ++n; /* right where there is one; else in the columns' order */
    MYS_CLEAR MYSQL_RES *res = NULL;
    if (n < 2)
        return CDC_OK;
    if (ask(look,
            "SELECT TABLE_NAME, NON_UNIQUE, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME"
            " FROM information_schema.STATISTICS",
            "INDEX_NAME = 'PRIMARY' AND TABLE_SCHEMA", " ORDER BY SEQ_IN_INDEX", &res, err) < 0)
        return CDC_FAIL;
    uint64_t end = mysql_num_rows(res);
    if (end == 0)
        return read_unique(look, err);
    if (is_key(look, res, 0, &end))
        take_key(look, res, 0, end);
    return CDC_OK;
}

static bool is_longtext(const char *type)
{
    return strncmp(type, "longtext", 8) == 0;
}

static int read_json(struct look *look, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    uint32_t i = 0;
    while (i < look->n && !is_longtext(look->rows[i].type))
        i++;
    if (!look->ask.facts->mariadb || i == look->n)
        return CDC_OK;
    if (ask(look, "SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS",
            "CONSTRAINT_SCHEMA", "", &res, err) < 0)
        return CDC_FAIL;
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(res)))
        for (i = 0; row[0] && i < look->n; i++)
            look->infos[i].json |=
                is_longtext(look->rows[i].type) && mys_check_is_json(row[0], look->infos[i].name);
    return CDC_OK;
}

static int make_map(const struct look *look, struct mys_map_columns *ret, struct cdc_error *err)
{
    struct mys_map_column *cols = cdc_arena_alloc(look->ask.arena, look->n * sizeof *cols);
    if (!cols)
        return cdc_fail_oom(err);
    for (uint32_t i = 0; i < look->n; i++) {
        if (mys_map_column_of(&look->rows[i], look->ask.facts->mariadb, &cols[i]) != CDC_OK)
            return cdc_fail(err, CDC_OPERATOR, "mysql",
                            "column %.128s of table %.64s.%.64s has a type (%.64s) that cannot be "
                            "read: leave the table out of `capture`, or change the column",
                            look->rows[i].name, look->ask.schema, look->ask.name,
                            look->rows[i].type);
        cols[i].key = look->infos[i].key;
    }
    *ret = (struct mys_map_columns){.n = look->n, .has_names = true, .cols = cols};
    return CDC_OK;
}

/* CDC_END: there is no such table. */
static int read_table(struct look *look, enum mys_cat_kind *ret, struct cdc_error *err)
{
    int rc = read_kind(look, ret, err);
    if (rc == CDC_OK)
        rc = read_columns(look, err);
    if (rc != CDC_OK)
        return rc;
    if (read_key(look, err) < 0 || read_json(look, err) < 0)
        return CDC_FAIL;
    add_period(look);
    return CDC_OK;
}

static int read_all(struct look *look, bool map, struct mys_cat_columns *ret, struct cdc_error *err)
{
    int rc = read_table(look, &ret->kind, err);
    if (rc != CDC_OK)
        return rc;
    ret->info = (struct mys_info){.n = look->n, .cols = look->infos};
    return map && ret->kind != MYS_CAT_OTHER ? make_map(look, &ret->map, err) : CDC_OK;
}

int mys_catalogue_columns(const struct mys_ask *what, struct mys_cat_columns *ret,
                          struct cdc_error *err)
{
    struct look look = {.ask = *what};
    return read_all(&look, true, ret, err);
}

int mys_catalogue_info(const struct mys_ask *what, struct mys_info *ret, struct cdc_error *err)
{
    struct mys_cat_columns all;
    struct look look = {.ask = *what};
    int rc = read_all(&look, false, &all, err);
    if (rc == CDC_OK && all.kind == MYS_CAT_OTHER)
        rc = CDC_END;
    if (rc == CDC_OK)
        *ret = all.info;
    return rc;
}

int mys_catalogue_size(MYSQL *conn, const struct mys_which *which, uint64_t *ret_rows,
                       uint64_t *ret_bytes, struct cdc_error *err)
{
    MYS_CLEAR MYSQL_RES *res = NULL;
    const struct look look = {.ask = {.conn = conn, .schema = which->schema, .name = which->name}};
    if (ask(&look, "SELECT TABLE_ROWS, DATA_LENGTH FROM information_schema.TABLES", "TABLE_SCHEMA",
            "", &res, err) < 0)
        return CDC_FAIL;
    MYSQL_ROW row = mysql_fetch_row(res);
    *ret_rows = row && row[0] ? strtoull(row[0], NULL, 10) : 0;
    *ret_bytes = row && row[1] ? strtoull(row[1], NULL, 10) : 0;
    return CDC_OK;
}
