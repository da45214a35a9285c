/*
 * test_mysql_golden.c - binlogs of real servers (tests/data/mysql, made by record.sh there): the
 * value of every type at its boundaries beside its SQL (types.tsv), and scenes of events as text.
 * KIT_WRITE=1 writes what was found to build/mysql/ instead of comparing, for a person to judge.
 */
#include "mysql_kit.h"

#include "avro/json.h"
#include "cdc/crc32c.h"

static bool writing(void)
{
    return getenv("KIT_WRITE") != NULL;
}

static void put_value(struct cdc_buf *out, const struct cdc_value *val, uint8_t bits)
{
    switch ((enum cdc_kind)val->kind) {
    case CDC_NULL:
    case CDC_UNCHANGED:
    case CDC_ABSENT: cdc_buf_str(out, cdc_kind_name((enum cdc_kind)val->kind)); break;
    case CDC_INVALID:
        cdc_buf_str(out, "invalid ");
        cdc_buf_put(out, val->p, val->len);
        break;
    default:
        cdc_buf_printf(out, "%s ", cdc_kind_name((enum cdc_kind)val->kind));
        cdc_json_value(out, val, bits);
        break;
    }
}

/* --- types.tsv: the value of column v in the row whose id is the line's number --- */

#define LINES_MAX 512

struct found {
    struct cdc_buf lines[LINES_MAX];
};

/* As expect.py does: 40 bytes of a long one, whole characters, then its length and sum. */
static void cut(struct cdc_buf *text)
{
    char tail[64];
    size_t n = 40;
    if (text->len <= 200)
        return;
    snprintf(tail, sizeof tail, "... %zu bytes, %08x", text->len,
             cdc_crc32c(0, text->p, text->len));
    while ((text->p[n] & 0xc0) == 0x80)
        n--;
    text->len = n;
    cdc_buf_str(text, tail);
}

static void note_value(struct kit *kit, const struct kit_table *table, enum mys_op op,
                       const struct cdc_value *before, const struct cdc_value *after)
{
    struct found *found = kit->user;
    (void)before;
    assert_int_equal(op, MYS_INSERT);
    assert_int_equal(table->shape->n, 2);
    assert_in_range(after[0].i, 1, LINES_MAX - 1);
    struct cdc_buf *out = &found->lines[after[0].i];
    cdc_buf_init(out, KIT_MAX);
    put_value(out, &after[1], table->shape->cols[1].bits);
    cut(out);
    assert_true(after[1].kind == CDC_NULL || after[1].kind == CDC_INVALID ||
                after[1].kind == table->shape->cols[1].kind);
}

/* What only information_schema tells of MariaDB's types: every column v is offered each in turn. */
static const char *face_of(const char *line)
{
    static const char *const faces[] = {"UUID", "INET6", "INET4"};
    static const char *const types[] = {"uuid", "inet6", "inet4"};
    for (size_t i = 0; i < CM_COUNT(faces); i++)
        if (strncmp(strchr(line, '\t') + 1, faces[i], strlen(faces[i])) == 0)
            return types[i];
    return NULL;
}

static void read_types(const char *server, const struct mys_info *info, struct found *found)
{
    char name[64];
    size_t len;
    snprintf(name, sizeof name, "types.%s.bin", server);
    uint8_t *bytes = kit_file(name, &len);
    struct kit kit = {.row = note_value, .user = found};
    if (info)
        kit.info = *info;
    kit_walk(&kit, bytes, len);
    free(bytes);
}

static const struct mys_info_column uuid_cols[] = {{.name = "id", .type = "int(11)", .key = 1},
                                                   {.name = "v", .type = "uuid"}};
static const struct mys_info_column inet6_cols[] = {{.name = "id", .type = "int(11)", .key = 1},
                                                    {.name = "v", .type = "inet6"}};
static const struct mys_info_column inet4_cols[] = {{.name = "id", .type = "int(11)", .key = 1},
                                                    {.name = "v", .type = "inet4"}};

static const struct face {
    const char *name;
    struct mys_info info;
} faces[] = {{"uuid", {2, uuid_cols, true}},
             {"inet6", {2, inet6_cols, true}},
             {"inet4", {2, inet4_cols, true}}};

static void done(struct found *found)
{
    for (size_t i = 0; i < LINES_MAX; i++)
        cdc_buf_done(&found->lines[i]);
    free(found);
}

static struct found *values_of(const char *server, const struct mys_info *info)
{
    struct found *found = calloc(1, sizeof *found);
    assert_non_null(found);
    read_types(server, info, found);
    return found;
}

static struct found *plain, *faced[CM_COUNT(faces)];

static struct cdc_buf *value_at(const char *line, size_t number)
{
    const char *face = face_of(line);
    struct found *from = plain;
    for (size_t i = 0; face && i < CM_COUNT(faces); i++)
        if (strcmp(faces[i].name, face) == 0)
            from = faced[i];
    return &from->lines[number];
}

static void check_line(const char *server, const char *line, size_t number, FILE *to)
{
    char of[16] = "";
    const char *want = line;
    sscanf(line, "%15[^\t]", of);
    for (unsigned i = 0; i < 3 && want; i++) {
        want = strchr(want, '\t');
        want = want ? want + 1 : NULL;
    }
    if (*line == '#' || (strcmp(of, "both") != 0 && strcmp(of, server) != 0))
        return;
    const char *have = cdc_buf_cstr(value_at(line, number));
    if (to) {
        fprintf(to, "%zu\t%s\n", number, have ? have : "nothing");
        return;
    }
    if (!have || !want || strcmp(have, want) != 0)
        fail_msg("%s, line %zu of types.tsv: %s\n  have %s\n  want %s", server, number, line,
                 have ? have : "nothing", want ? want : "nothing");
}

static void test_types(void **state)
{
    const char *server = *state;
    size_t len, number = 1;
    char *text = (char *)kit_file("types.tsv", &len), path[64];
    snprintf(path, sizeof path, "build/mysql/types.%s.txt", server);
    FILE *to = writing() ? fopen(path, "w") : NULL;
    plain = values_of(server, NULL);
    for (size_t i = 0; i < CM_COUNT(faces); i++)
        faced[i] = values_of(server, &faces[i].info);
    for (char *line = text, *end; *line; line = end + 1, number++) {
        end = strchr(line, '\n');
        assert_non_null(end);
        *end = 0;
        check_line(server, line, number, to);
    }
    if (to)
        fclose(to);
    for (size_t i = 0; i < CM_COUNT(faces); i++)
        done(faced[i]);
    done(plain);
    free(text);
}

/* --- scenes: every event as a line --- */

static const char *const kinds[] = {"other",     "format", "rotate",  "stop",      "gtid",
                                    "gtids",     "list",   "query",   "xid",       "xa prepare",
                                    "table map", "rows",   "payload", "heartbeat", "incident"};
static const char *const verbs[] = {
    "other",  "begin",      "commit",    "rollback",      "savepoint", "xa start",
    "xa end", "xa prepare", "xa commit", "xa rollback",   "create",    "alter",
    "rename", "truncate",   "drop",      "drop database", "dml"};

static void put_xid(struct cdc_buf *out, const struct mys_xid *xid)
{
    cdc_buf_printf(out, " '%.*s','%.*s',%u", xid->gtrid_len, (const char *)xid->data,
                   xid->bqual_len, (const char *)xid->data + xid->gtrid_len, xid->format);
}

static void put_query(struct kit *kit, struct cdc_buf *out, const struct mys_event *ev)
{
    struct cdc_error err = {0};
    struct mys_statement st;
    struct mys_session session;
    struct cdc_slice sql = ev->query.sql;
    mys_session_read(ev->query.status, &session);
    if (ev->query.packed)
        kit_ok(mys_unpack(kit->arena, sql, KIT_MAX, &sql, &err), &err);
    kit_ok(mys_statement_scan(&session, sql, ev->query.db, kit->arena, &st, &err), &err);
    cdc_buf_printf(
        out, "%s: %s%s%s%s%s", ev->query.packed ? " packed" : "", verbs[st.verb],
        st.flags & MYS_UNSURE ? ", unsure" : "", st.flags & MYS_TEMPORARY ? ", temporary" : "",
        st.flags & MYS_RENAMED ? ", renamed" : "", st.flags & MYS_ROWS_GONE ? ", rows gone" : "");
    for (size_t i = 0; i < st.n; i++)
        cdc_buf_printf(out, " [%s].[%s]", st.names[i].db, st.names[i].name);
    if (st.verb >= MYS_V_XA_START && st.verb <= MYS_V_XA_ROLLBACK)
        put_xid(out, &st.xid);
}

/* What differs with each recording. */
static bool sound_gtid(const struct mys_event *ev)
{
    return ev->gtid.id.number > 0 && ev->gtid.trx_len > 50 &&
           ev->gtid.commit_us > INT64_C(1700000000000000) &&
           ev->gtid.original_us == ev->gtid.commit_us;
}

static void put_event(struct kit *kit, const struct mys_event *ev)
{
    struct cdc_buf *out = kit->user;
    if (ev->kind == MYS_OTHER || ev->kind == MYS_TABLE_MAP ||
        (ev->kind == MYS_ROWS && !ev->rows.packed))
        return;
    cdc_buf_str(out, kinds[ev->kind]);
    if (ev->kind == MYS_QUERY)
        put_query(kit, out, ev);
    else if (ev->kind == MYS_FORMAT)
        cdc_buf_printf(out, " %s %s", ev->format.mariadb ? "mariadb" : "mysql",
                       ev->format.checksum ? "crc" : "none");
    else if (ev->kind == MYS_GTID && ev->gtid.id.mariadb)
        cdc_buf_printf(out, " %u-%u flags %x", ev->gtid.id.domain, ev->gtid.id.server,
                       ev->gtid.flags);
    else if (ev->kind == MYS_GTID)
        cdc_buf_printf(out, " %s%s", *ev->gtid.id.tag ? ev->gtid.id.tag : "-",
                       sound_gtid(ev) ? "" : ", unsound");
    else if (ev->kind == MYS_XA_PREPARE)
        cdc_buf_str(out, ev->xa.one_phase ? " one phase" : "");
    else if (ev->kind == MYS_PAYLOAD)
        cdc_buf_printf(out, " %s", ev->payload.zstd ? "zstd" : "plain");
    if (ev->kind == MYS_GTID && ev->gtid.flags & (MYS_GTID_XA_PREPARED | MYS_GTID_XA_COMPLETED))
        put_xid(out, &ev->gtid.xid);
    if (ev->kind == MYS_XA_PREPARE)
        put_xid(out, &ev->xa.xid);
    cdc_buf_byte(out, '\n');
}

static void put_table(struct kit *kit, const struct kit_table *table)
{
    struct cdc_buf *out = kit->user;
    cdc_buf_printf(out, "  table %s:", table->name);
    for (uint32_t i = 0; i < table->shape->n; i++) {
        const struct cdc_column *col = &table->shape->cols[i];
        cdc_buf_printf(out, "%s %s %s%s", i ? "," : "", col->name, col->type,
                       col->nullable ? "" : " not null");
        if (col->key)
            cdc_buf_printf(out, " key %u", col->key);
    }
    for (uint32_t i = 0; i < table->shape->n_invisible; i++)
        cdc_buf_printf(out, "; invisible %u", table->shape->invisible[i]);
    cdc_buf_byte(out, '\n');
}

static void put_image(struct cdc_buf *out, const struct mys_shape *shape,
                      const struct cdc_value *vals)
{
    cdc_buf_byte(out, '(');
    for (uint32_t i = 0; i < shape->n; i++) {
        cdc_buf_str(out, i ? ", " : "");
        put_value(out, &vals[i], shape->cols[i].bits);
    }
    cdc_buf_byte(out, ')');
}

static void put_row(struct kit *kit, const struct kit_table *table, enum mys_op op,
                    const struct cdc_value *before, const struct cdc_value *after)
{
    static const char *const ops[] = {"insert", "update", "delete"};
    struct cdc_buf *out = kit->user;
    cdc_buf_printf(out, "  %s ", ops[op]);
    if (op != MYS_INSERT)
        put_image(out, table->shape, before);
    if (op == MYS_UPDATE)
        cdc_buf_str(out, " to ");
    if (op != MYS_DELETE)
        put_image(out, table->shape, after);
    cdc_buf_byte(out, '\n');
}

static void test_scene(void **state)
{
    const char *scene = *(const char **)*state;
    char name[64], path[80];
    size_t len, want_len;
    struct cdc_buf out = CDC_BUF(KIT_MAX);
    struct kit kit = {.event = put_event, .table = put_table, .row = put_row, .user = &out};
    snprintf(name, sizeof name, "%s.bin", scene);
    uint8_t *bytes = kit_file(name, &len);
    kit_walk(&kit, bytes, len);
    const char *text = cdc_buf_cstr(&out);
    assert_non_null(text);
    if (writing()) {
        snprintf(path, sizeof path, "build/mysql/%s.txt", scene);
        FILE *to = fopen(path, "w");
        assert_non_null(to);
        fputs(text, to);
        fclose(to);
    } else {
        snprintf(name, sizeof name, "%s.txt", scene);
        uint8_t *want = kit_file(name, &want_len);
        assert_string_equal(text, (const char *)want);
        free(want);
    }
    cdc_buf_done(&out);
    free(bytes);
}

static const struct row {
    const char *name;
} scenes[] = {{"images.mysql"},     {"images.mariadb"},     {"metadata.mysql"},
              {"metadata.mariadb"}, {"transactions.mysql"}, {"transactions.mariadb"},
              {"ddl.mysql"},        {"ddl.mariadb"}};

int main(void)
{
    static char mysql[] = "mysql", mariadb[] = "mariadb";
    struct CMUnitTest tests[CM_COUNT(scenes) + 2], *to = tests;
    *to++ = (struct CMUnitTest){
        .name = "types of mysql", .test_func = test_types, .initial_state = mysql};
    *to++ = (struct CMUnitTest){
        .name = "types of mariadb", .test_func = test_types, .initial_state = mariadb};
    to = CM_ROWS(to, test_scene, scenes);
    return cmocka_run_group_tests_name("mysql: golden", tests, NULL, NULL);
}
