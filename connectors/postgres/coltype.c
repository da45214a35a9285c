/*
 * coltype.c - the type of a column.
 *
 * A relation message names it by oid. Built-in types and arrays of them have fixed oids (types.c).
 * All others differ from database to database: the catalogue says what a type is made of.
 *
 *   domain            as its base type, however deep; a domain may be over an array
 *   array             of base types and enums (or domains over them): an array of their kind
 *   hstore            JSON; known as the type of that name of the extension of that name
 *   all else          text in the database's form: enums, citext, ltree, vectors, PostGIS;
 *                     also arrays of ranges, composites or arrays, and arrays separated by
 *                     anything but a comma (box)
 *
 * The catalogue shows today, the stream shows then. A type that is gone by now is what the known
 * version of the table says of the same oid; without one it is what its type message (Y) says,
 * which for a domain has the base type's name.
 */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>

int pgs_type_set(struct pgs_source *src, const struct pgs_msg *msg, struct cdc_error *err)
{
    struct pgs_typename *type = src->typenames;
    while (type && type->oid != msg->type_.oid)
        type = type->next;
    if (!type) {
        type = calloc(1, sizeof *type);
        if (!type)
            return cdc_fail_oom(err);
        type->oid = msg->type_.oid;
        type->next = src->typenames;
        src->typenames = type;
    }
    free(type->schema);
    free(type->name);
    type->schema = strdup(msg->type_.schema);
    type->name = strdup(msg->type_.name);
    return type->schema && type->name ? CDC_OK : cdc_fail_oom(err);
}

void pgs_typenames_done(struct pgs_source *src)
{
    while (src->typenames) {
        struct pgs_typename *type = src->typenames;
        src->typenames = type->next;
        free(type->schema);
        free(type->name);
        free(type);
    }
}

static void apply_hstore(bool array, struct cdc_column *ret)
{
    pgs_type_apply(NULL, -1, ret);
    ret->kind = array ? CDC_ARRAY : CDC_JSON;
    ret->item = array ? CDC_JSON : CDC_NULL;
}

/* The type is gone from the catalogue, and no version of the table knows it. */
static void type_then(const struct pgs_typing *typing, struct cdc_column *ret)
{
    const struct pgs_typename *name = typing->src->typenames;
    while (name && name->oid != ret->type_id)
        name = name->next;
    pgs_type_apply(name && !*name->schema ? pgs_type_by_name(name->name) : NULL, -1, ret);
    if (!name)
        ret->type = cdc_arena_printf(typing->arena, "type %u", ret->type_id);
    else if (*name->schema)
        ret->type = cdc_arena_printf(typing->arena, "%s.%s", name->schema, name->name);
    else
        ret->type = cdc_arena_strdup(typing->arena, name->name);
    if (name && strcmp(name->name, "hstore") == 0)
        apply_hstore(false, ret);
}

static void gone(const struct pgs_typing *typing, struct cdc_column *ret)
{
    int at = typing->prior ? cdc_table_column(typing->prior, ret->name) : -1;
    const struct cdc_column *prior = at < 0 ? NULL : &typing->prior->cols[at];
    if (!prior || prior->type_id != ret->type_id || prior->type_mod != ret->type_mod) {
        type_then(typing, ret);
        return;
    }
    ret->type = cdc_arena_strdup(typing->arena, prior->type);
    ret->kind = prior->kind;
    ret->item = prior->item;
    ret->bits = prior->bits;
    ret->precision = prior->precision;
    ret->scale = prior->scale;
}

/* What the type is at the bottom: one row, or none if it is gone. */
enum bottom_col { B_PRINTED, B_OID, B_MOD, B_HSTORE, B_ITEM, B_ITEM_MOD, B_ITEM_HSTORE };

/* h: hstore. b: the type down to its base. i: its items likewise, where it is an array. */
static const char bottom_sql[] =
    "WITH RECURSIVE h AS (SELECT t.oid FROM pg_type t JOIN pg_depend d ON d.objid = t.oid"
    " AND d.classid = 'pg_type'::regclass AND d.refclassid = 'pg_extension'::regclass"
    " AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid"
    " WHERE t.typname = 'hstore' AND e.extname = 'hstore'),"
    " b AS (SELECT oid, typtype, typbasetype, typtypmod, $2::int AS mod FROM pg_type"
    " WHERE oid = $1::oid UNION ALL SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod,"
    " b.typtypmod FROM b JOIN pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd'),"
    " i AS (SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, t.typdelim, b.mod FROM b"
    " JOIN pg_type t ON t.typarray = b.oid WHERE b.typtype <> 'd'"
    " UNION ALL SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, t.typdelim, i.typtypmod"
    " FROM i JOIN pg_type t ON t.oid = i.typbasetype WHERE i.typtype = 'd') "
    "SELECT format_type($1::oid, $2::int), b.oid, b.mod, b.oid IN (SELECT oid FROM h),"
    " i.oid, i.mod, i.oid IN (SELECT oid FROM h) "
    "FROM b LEFT JOIN i ON i.typtype IN ('b', 'e') AND i.typdelim = ','"
    " AND NOT EXISTS (SELECT 1 FROM pg_type a WHERE a.typarray = i.oid) "
    "WHERE b.typtype <> 'd'";

static uint32_t oid_at(const PGresult *res, enum bottom_col col)
{
    return (uint32_t)strtoul(PQgetvalue(res, 0, col), NULL, 10);
}

static int32_t mod_at(const PGresult *res, enum bottom_col col)
{
    return (int32_t)strtol(PQgetvalue(res, 0, col), NULL, 10);
}

static void apply_bottom(const PGresult *res, struct cdc_column *ret)
{
    bool array = !PQgetisnull(res, 0, B_ITEM);
    if (PQgetvalue(res, 0, array ? B_ITEM_HSTORE : B_HSTORE)[0] == 't')
        apply_hstore(array, ret);
    else if (array)
        pgs_type_apply_array(pgs_type_by_oid(oid_at(res, B_ITEM)), mod_at(res, B_ITEM_MOD), ret);
    else
        pgs_type_apply(pgs_type_by_oid(oid_at(res, B_OID)), mod_at(res, B_MOD), ret);
}

static int from_catalogue(const struct pgs_typing *typing, struct cdc_column *ret,
                          struct cdc_error *err)
{
    char oid[16], typmod[16];
    const char *args[] = {oid, typmod, NULL};
    PGS_CLEAR PGresult *res = NULL;
    snprintf(oid, sizeof oid, "%u", ret->type_id);
    snprintf(typmod, sizeof typmod, "%d", ret->type_mod);
    if (pgs_query(&typing->src->srv, bottom_sql, args, &res, err) < 0)
        return CDC_FAIL;
    if (PQntuples(res) == 0) {
        gone(typing, ret);
        return CDC_OK;
    }
    ret->type = cdc_arena_strdup(typing->arena, PQgetvalue(res, 0, B_PRINTED));
    apply_bottom(res, ret);
    return CDC_OK;
}

int pgs_type_of(const struct pgs_typing *typing, const struct pgs_row_column *from,
                struct cdc_column *ret, struct cdc_error *err)
{
    const struct pgs_type *type = pgs_type_by_oid(from->type);
    const struct pgs_type *items = type ? NULL : pgs_type_of_items(from->type);
    ret->type_id = from->type;
    ret->type_mod = from->typmod;
    if (!type && !items) {
        if (from_catalogue(typing, ret, err) < 0)
            return CDC_FAIL;
    } else {
        char text[64];
        pgs_type_print(type ? type : items, from->typmod, text, sizeof text);
        if (type)
            pgs_type_apply(type, from->typmod, ret);
        else
            pgs_type_apply_array(items, from->typmod, ret);
        ret->type = cdc_arena_printf(typing->arena, "%s%s", text, items ? "[]" : "");
    }
    return ret->type ? CDC_OK : cdc_fail_oom(err);
}
