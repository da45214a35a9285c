/*
 * test_mysql_coltype.c - what a column is: its printed type and kind out of a table map, what a
 * copy of information_schema adds and when it does not fit; charsets by collation.
 */
#include "mysql_kit.h"

/* Type, metadata (low byte first on the wire), sign, collation. */
static const struct row {
    const char *name; /* as it is printed */
    uint8_t type;
    uint16_t meta;
    bool is_unsigned;
    uint32_t collation;
    enum cdc_kind kind;
    unsigned bits, precision;
    const char *fits, *fits_not;
} rows[] = {
    {"tinyint", MYS_TINY, 0, false, 0, CDC_INT, 32, 0, "tinyint(1)", "tinyint unsigned"},
    {"int unsigned", MYS_LONG, 0, true, 0, CDC_INT, 64, 0, "int(10) unsigned zerofill", "int(10)"},
    {"mediumint unsigned", MYS_INT24, 0, true, 0, CDC_INT, 32, 0, "mediumint(8) unsigned", "int"},
    {"bigint", MYS_LONGLONG, 0, false, 0, CDC_INT, 64, 0, "bigint(20)", "int(11)"},
    {"bigint unsigned", MYS_LONGLONG, 0, true, 0, CDC_DECIMAL, 0, 20, "bigint unsigned", "bigint"},
    {"float", MYS_FLOAT, 4, false, 0, CDC_FLOAT, 32, 0, "float(7,3)", "double"},
    {"double unsigned", MYS_DOUBLE, 8, true, 0, CDC_FLOAT, 64, 0, "double(7,3) unsigned", "float"},
    {"decimal(10,2)", MYS_NEWDECIMAL, 0x020a, false, 0, CDC_DECIMAL, 0, 10, "decimal(10,2)",
     "decimal(10,3)"},
    {"decimal(38,0)", MYS_NEWDECIMAL, 38, false, 0, CDC_DECIMAL, 0, 38, "decimal(38,0)",
     "decimal(3,0)"},
    {"decimal(39,0)", MYS_NEWDECIMAL, 39, false, 0, CDC_TEXT, 0, 0, "decimal(39,0)", "text"},
    {"bit(1)", MYS_BIT, 1, false, 0, CDC_BOOL, 0, 0, "bit(1)", "bit(2)"},
    {"bit(64)", MYS_BIT, 0x0800, false, 0, CDC_BYTES, 0, 0, "bit(64)", "bit(6)"},
    {"year", MYS_YEAR, 0, true, 0, CDC_INT, 32, 0, "year(4)", "date"},
    {"date", MYS_DATE, 0, false, 0, CDC_DATE, 0, 0, "date", "datetime"},
    {"time", MYS_TIME2, 0, false, 0, CDC_TIME, 0, 0, "time", "time(1)"},
    {"time", MYS_TIME, 0, false, 0, CDC_TIME, 0, 0, "time", "timestamp"},
    {"datetime(6)", MYS_DATETIME2, 6, false, 0, CDC_TIMESTAMP, 0, 0, "datetime(6)", "datetime"},
    {"timestamp(3)", MYS_TIMESTAMP2, 3, false, 0, CDC_TIMESTAMPTZ, 0, 0, "timestamp(3)",
     "datetime(3)"},
    {"varchar(64)", MYS_VARCHAR, 256, false, 45, CDC_TEXT, 0, 0, "varchar(64)", "varchar(256)"},
    {"varbinary(256)", MYS_VARCHAR, 256, false, 63, CDC_BYTES, 0, 0, "varbinary(256)",
     "varchar(256)"},
    {"char(255)", MYS_STRING, 0xfcce, false, 45, CDC_TEXT, 0, 0, "char(255)", "char(254)"},
    {"binary(16)", MYS_STRING, 0x10fe, false, 63, CDC_BYTES, 0, 0, "binary(16)", "char(16)"},
    {"tinytext", MYS_BLOB, 1, false, 45, CDC_TEXT, 0, 0, "tinytext", "text"},
    {"longblob", MYS_BLOB, 4, false, 63, CDC_BYTES, 0, 0, "longblob", "longtext"},
    {"enum", MYS_STRING, 0x01f7, false, 0, CDC_TEXT, 0, 0, "enum('a','b(')", "set('a')"},
    {"set", MYS_STRING, 0x08f8, false, 0, CDC_TEXT, 0, 0, "set('unsigned')", "enum('a')"},
    {"json", MYS_JSON, 4, false, 0, CDC_JSON, 0, 0, "json", "longtext"},
    {"geometry", MYS_GEOMETRY, 4, false, 0, CDC_BYTES, 0, 0, "geometry", "point"},
    {"vector(0)", MYS_VECTOR, 4, false, 0, CDC_ARRAY, 32, 0, "vector(0)", "vector(3)"},
    {"varchar(10)", MYS_VARCHAR_COMPRESSED, 41, false, 45, CDC_TEXT, 0, 0,
     "varchar(10) /*M!100301 COMPRESSED*/", "varchar(10) unsigned"},
};

static void test_type(void **state)
{
    const struct row *row = *state;
    const struct mys_type_spec spec = {.type = row->type,
                                       .meta = row->meta,
                                       .is_unsigned = row->is_unsigned,
                                       .charset = mys_charset_by_id(row->collation),
                                       .geometry = -1};
    struct mys_field field;
    struct cdc_column col = {0};
    char text[64];
    assert_int_equal(mys_type_apply(&spec, &field, &col), CDC_OK);
    mys_type_print(&spec, text, sizeof text);
    assert_string_equal(text, row->name);
    assert_int_equal(col.kind, row->kind);
    assert_int_equal(col.bits, row->bits);
    assert_int_equal(col.precision, row->precision);
    assert_true(mys_type_fits(&spec, row->fits));
    assert_false(mys_type_fits(&spec, row->fits_not));
}

/* Metadata that no server writes is no type: a parser would read what is not there. */
static void test_unsound(void **state)
{
    static const struct {
        uint8_t type;
        uint16_t meta;
    } bad[] = {{MYS_NEWDECIMAL, 0},
               {MYS_NEWDECIMAL, 66},
               {MYS_NEWDECIMAL, 0x0302},
               {MYS_NEWDECIMAL, 0x2740},
               {MYS_BIT, 0},
               {MYS_BIT, 0x0801},
               {MYS_BIT, 8},
               {MYS_TIME2, 7},
               {MYS_BLOB, 0},
               {MYS_BLOB, 5},
               {MYS_JSON, 0},
               {MYS_STRING, 0x03f7},
               {MYS_STRING, 0x09f8},
               {MYS_STRING, 0x00f8},
               {0, 0},
               {200, 0}};
    (void)state;
    for (size_t i = 0; i < CM_COUNT(bad); i++) {
        const struct mys_type_spec spec = {.type = bad[i].type, .meta = bad[i].meta};
        struct mys_field field;
        struct cdc_column col = {0};
        assert_int_equal(mys_type_apply(&spec, &field, &col), CDC_END);
    }
}

/* --- MariaDB's VECTOR, which only information_schema tells from VARBINARY --- */

static struct mys_shape *vector_shape(const char *type)
{
    struct mys_info_column info_col = {.name = "v", .type = type, .collation = 63};
    const struct mys_info info = {1, &info_col, true};
    struct mys_map_column col = {
        .type = MYS_VARCHAR, .meta = 12, .charset = 63, .name = cdc_slice_str("v"), .geometry = -1};
    const struct mys_map_columns map = {.n = 1, .has_names = true, .cols = &col};
    struct mys_shape *shape;
    assert_int_equal(mys_shape_new(&map, &info, KIT_MAX, &shape, NULL), CDC_OK);
    return shape;
}

static void test_vector(void **state)
{
    static const uint8_t bytes[] = "\14\0\0\x80\x3f\0\0\x20\x40\0\0\x40\xc0";
    struct mys_shape *shape = vector_shape("vector(3)"), *other = vector_shape("vector(4)");
    struct cdc_arena *arena = cdc_arena_new(SIZE_MAX);
    struct cdc_value val;
    (void)state;
    assert_string_equal(shape->cols[0].type, "vector(3)");
    assert_int_equal(shape->cols[0].kind, CDC_ARRAY);
    assert_int_equal(shape->cols[0].item, CDC_FLOAT);
    assert_int_equal(shape->cols[0].bits, 32);
    for (size_t len = 0; len < sizeof bytes; len++) {
        struct cdc_reader rd = cdc_reader_of(bytes, len);
        int rc = shape->fields[0].parse(&shape->fields[0], &rd, arena, &val);
        assert_int_equal(rc == CDC_OK && !rd.failed, len == sizeof bytes - 1);
    }
    assert_int_equal(val.len, 3);
    assert_true(val.items[1].f == 2.5 && val.items[2].f == -3);
    assert_string_equal(other->cols[0].type, "varbinary(12)");
    assert_int_equal(other->cols[0].kind, CDC_BYTES);
    cdc_arena_free(arena);
    mys_shape_free(shape);
    mys_shape_free(other);
}

/* --- table maps of metadata.sql with a copy of information_schema --- */

static const struct mys_info_column full_cols[] = {
    {.name = "b", .type = "int(10) unsigned", .key = 1},
    {.name = "a", .type = "varchar(10)", .dflt = "'x'", .collation = 45, .key = 2},
    {.name = "e", .type = "enum('x','y')", .collation = 45},
    {.name = "s", .type = "set('p','q')", .collation = 8},
    {.name = "t", .type = "text", .collation = 45}};
static const struct mys_info_column other_cols[] = {
    {.name = "b", .type = "int(10) unsigned", .key = 1},
    {.name = "a", .type = "varchar(11)", .dflt = "'x'", .collation = 45, .key = 2},
    {.name = "e", .type = "enum('x','y')", .collation = 45},
    {.name = "s", .type = "set('p','q')", .collation = 8},
    {.name = "t", .type = "text", .collation = 45}};

struct maps {
    struct mys_map_columns at[3]; /* FULL, MINIMAL, NO_LOG (MariaDB; on MySQL MINIMAL) */
    unsigned n;
    struct cdc_arena *arena;
    uint8_t *bytes;
};

static void open_maps(const char *server, struct maps *ret)
{
    char name[64];
    size_t len, n;
    struct mys_format fmt = {0};
    snprintf(name, sizeof name, "metadata.%s.bin", server);
    *ret = (struct maps){.arena = cdc_arena_new(SIZE_MAX), .bytes = kit_file(name, &len)};
    for (size_t at = 4; at < len; at += n) {
        struct mys_event ev;
        n = kit_event_len(ret->bytes + at);
        assert_int_equal(mys_decode_head(&fmt, cdc_slice_of(ret->bytes + at, n), &ev, NULL),
                         CDC_OK);
        assert_int_equal(mys_decode(&fmt, &ev, NULL), CDC_OK);
        if (ev.kind == MYS_FORMAT)
            fmt = ev.format;
        if (ev.kind == MYS_TABLE_MAP && strcmp(ev.map.name, "full") == 0 && ret->n < 3)
            assert_int_equal(mys_decode_columns(&fmt, &ev, ret->arena, &ret->at[ret->n++], NULL),
                             CDC_OK);
    }
    assert_int_equal(ret->n, 3);
}

static void close_maps(struct maps *maps)
{
    cdc_arena_free(maps->arena);
    free(maps->bytes);
}

static void print_shape(const struct mys_shape *shape, char *ret, size_t size)
{
    size_t n = 0;
    for (uint32_t i = 0; i < shape->n; i++) {
        const struct cdc_column *col = &shape->cols[i];
        n += (size_t)snprintf(ret + n, size - n, "%s%s %s %u%s%s", i ? "; " : "", col->name,
                              col->type, col->key, col->dflt ? " = " : "",
                              col->dflt ? col->dflt : "");
    }
}

static const struct merge {
    const char *name, *server;
    unsigned map;
    struct mys_info info;
    int rc;
    const char *shape;
} merges[] = {
    {"full, nothing known",
     "mysql",
     0,
     {0, NULL, true},
     CDC_OK,
     "b int unsigned 1; a varchar(10) 2; e enum('x','y') 0; s set('p','q') 0; t text 0"},
    {"full, a default from the copy",
     "mysql",
     0,
     {5, full_cols, false},
     CDC_OK,
     "b int unsigned 1; a varchar(10) 2 = 'x'; e enum('x','y') 0; s set('p','q') 0; t text 0"},
    {"full, the copy is newer", "mysql", 0, {5, other_cols, false}, CDC_AGAIN, NULL},
    {"full, the copy is newer and final",
     "mysql",
     0,
     {5, other_cols, true},
     CDC_OK,
     "b int unsigned 1; a varchar(10) 2; e enum('x','y') 0; s set('p','q') 0; t text 0"},
    {"full, the copy lacks a column",
     "mariadb",
     0,
     {4, full_cols, true},
     CDC_OK,
     "b int unsigned 1; a varchar(10) 2 = 'x'; e enum('x','y') 0; s set('p','q') 0; t text 0"},
    {"minimal, all from the copy",
     "mysql",
     1,
     {5, full_cols, false},
     CDC_OK,
     "b int unsigned 1; a varchar(10) 2 = 'x'; e enum('x','y') 0; s set('p','q') 0; t text 0"},
    {"minimal, mariadb",
     "mariadb",
     1,
     {5, full_cols, true},
     CDC_OK,
     "b int unsigned 1; a varchar(10) 2 = 'x'; e enum('x','y') 0; s set('p','q') 0; t text 0"},
    {"no_log, all from the copy",
     "mariadb",
     2,
     {5, full_cols, true},
     CDC_OK,
     "b int unsigned 1; a varchar(10) 2 = 'x'; e enum('x','y') 0; s set('p','q') 0; t text 0"},
    {"minimal, the copy does not fit", "mysql", 1, {5, other_cols, false}, CDC_AGAIN, NULL},
    {"minimal, the copy does not fit and is final",
     "mysql",
     1,
     {5, other_cols, true},
     CDC_FAIL,
     NULL},
    {"no_log, another number of columns", "mariadb", 2, {4, full_cols, true}, CDC_FAIL, NULL},
};

static void test_merge(void **state)
{
    const struct merge *merge = *state;
    struct maps maps;
    struct mys_shape *shape = NULL;
    struct cdc_error err = {0};
    char text[512];
    open_maps(merge->server, &maps);
    assert_int_equal(mys_shape_new(&maps.at[merge->map], &merge->info, KIT_MAX, &shape, &err),
                     merge->rc);
    if (merge->shape) {
        print_shape(shape, text, sizeof text);
        assert_string_equal(text, merge->shape);
    } else {
        assert_null(shape);
        assert_int_equal(err.message[0] != 0, merge->rc == CDC_FAIL);
    }
    mys_shape_free(shape);
    close_maps(&maps);
}

/* NO_LOG without signs and charsets: the values come out right by the copy alone. */
static void note_row(struct kit *kit, const struct kit_table *table, enum mys_op op,
                     const struct cdc_value *before, const struct cdc_value *after)
{
    unsigned *n = kit->user;
    (void)op;
    (void)before;
    if (strcmp(table->name, "g.full") != 0)
        return;
    assert_int_equal(after[0].i, 4294967295 - *n);
    assert_memory_equal(after[1].p, "\xc3\xa4", 2);
    assert_int_equal(after[1].len, 2);
    assert_memory_equal(after[2].p, *n ? "x" : "y", 1);
    (*n)++;
}

static void test_no_log_values(void **state)
{
    size_t len;
    unsigned n = 0;
    uint8_t *bytes = kit_file("metadata.mariadb.bin", &len);
    struct kit kit = {.row = note_row, .user = &n, .info = {5, full_cols, true}};
    (void)state;
    kit_walk(&kit, bytes, len);
    assert_int_equal(n, 3);
    free(bytes);
}

/* One column: a map and a copy that is made for it. */
static int shape_of(uint8_t type, uint16_t meta, uint32_t charset,
                    const struct mys_info_column *info_col, struct mys_shape **ret,
                    struct cdc_error *err)
{
    struct mys_map_column col = {.type = type,
                                 .meta = meta,
                                 .charset = charset,
                                 .is_unsigned = -1,
                                 .geometry = -1,
                                 .name = cdc_slice_str("v")};
    const struct mys_map_columns map = {.n = 1, .has_names = true, .cols = &col};
    const struct mys_info info = {1, info_col, true};
    return mys_shape_new(&map, &info, KIT_MAX, ret, err);
}

static void test_faces(void **state)
{
    static const struct mys_info_column json = {.name = "v", .type = "longtext", .json = true},
                                        uuid = {.name = "v", .type = "uuid"},
                                        wide = {.name = "v", .type = "time(3)"};
    struct mys_shape *shape;
    struct cdc_error err = {0};
    (void)state;
    assert_int_equal(shape_of(MYS_BLOB, 4, 46, &json, &shape, &err), CDC_OK);
    assert_int_equal(shape->cols[0].kind, CDC_JSON);
    assert_string_equal(shape->cols[0].type, "json");
    mys_shape_free(shape);
    assert_int_equal(shape_of(MYS_STRING, 0x10fe, 63, &uuid, &shape, &err), CDC_OK);
    assert_int_equal(shape->cols[0].kind, CDC_UUID);
    mys_shape_free(shape);
    assert_int_equal(shape_of(MYS_STRING, 0x0ffe, 63, &uuid, &shape, &err), CDC_OK);
    assert_int_equal(shape->cols[0].kind, CDC_BYTES); /* it was BINARY(15) then */
    mys_shape_free(shape);
    assert_int_equal(shape_of(MYS_TIME, 0, 0, &wide, &shape, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_OPERATOR);
    assert_int_equal(shape_of(MYS_NEWDECIMAL, 66, 0, &wide, &shape, &err), CDC_FAIL);
    assert_non_null(strstr(err.message, "cannot be read"));
}

static void test_too_many_columns(void **state)
{
    static struct mys_map_column cols[CDC_COLUMNS_MAX + 1];
    struct mys_map_columns map = {.n = CDC_COLUMNS_MAX + 1, .has_names = true, .cols = cols};
    struct mys_shape *shape;
    struct mys_field *bare;
    struct cdc_error err = {0};
    struct cdc_arena *arena = cdc_arena_new(SIZE_MAX);
    (void)state;
    for (size_t i = 0; i < CM_COUNT(cols); i++)
        cols[i] = (struct mys_map_column){.type = MYS_TINY, .name = cdc_slice_str("v")};
    assert_int_equal(mys_shape_new(&map, NULL, KIT_MAX, &shape, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_OPERATOR);
    assert_int_equal(mys_fields_bare(&map, arena, &bare, &err), CDC_OK);
    cols[7].type = 200;
    assert_int_equal(mys_fields_bare(&map, arena, &bare, &err), CDC_END);
    cdc_arena_free(arena);
}

/* --- charsets --- */

static const struct text {
    const char *name;
    uint32_t collation;
    const char *bytes;
    size_t len;
    const char *utf8; /* NULL: the charset does not have them */
} texts[] = {
    {"utf8mb4", 255, "\xf0\x9f\x98\x80", 4, "😀"},
    {"utf8mb4, cut", 255, "\xf0\x9f\x98", 3, NULL},
    {"utf8mb4, overlong", 255, "\xc0\xaf", 2, NULL},
    {"utf8mb3 of MariaDB's UCA 14", 2048, "\xc3\xa4", 2, "ä"},
    {"latin1 is windows-1252", 8, "\x80\xe4", 2, "€ä"},
    {"latin1, NO PAD", 1032, "\xe4", 1, "ä"},
    {"ascii above 7 bits", 11, "a\x80", 2, NULL},
    {"swe7", 10, "{|}", 3, "äöå"},
    {"tis620 without a character there", 18, "\xff", 1, NULL},
    {"ucs2", 35, "\x20\xac", 2, "€"},
    {"ucs2, odd", 35, "\x20", 1, NULL},
    {"ucs2, surrogate", 35, "\xd8\x3d\xde\x00", 4, NULL},
    {"utf16", 54, "\xd8\x3d\xde\x00", 4, "😀"},
    {"utf16, half a pair", 54, "\xd8\x3d", 2, NULL},
    {"utf16, pair in the wrong order", 54, "\xde\x00\xd8\x3d", 4, NULL},
    {"utf16le", 56, "\x3d\xd8\x00\xde", 4, "😀"},
    {"utf32", 60, "\x00\x01\xf6\x00", 4, "😀"},
    {"utf32 above Unicode", 60, "\x00\x11\x00\x00", 4, NULL},
    {"sjis, backslash", 13, "\x81\x5f\\", 3, "\\\\"},
    {"sjis, cut", 13, "\x81", 1, NULL},
    {"ujis, wave dash and tilde", 12, "\xa1\xc1\x8f\xa2\xb7", 5, "〜~"},
    {"big5, kana", 1, "\xc6\xe7", 2, "ゃ"},
    {"gb18030, four bytes", 248, "\x94\x39\xfc\x36", 4, "😀"},
    {"binary is lent", 63, "\xff\x00", 2, "\xff"},
};

static void test_text(void **state)
{
    const struct text *row = *state;
    struct mys_recode recode;
    struct cdc_slice out;
    struct cdc_arena *arena = cdc_arena_new((size_t)1 << 16);
    const struct mys_charset *set = mys_charset_by_id(row->collation);
    uint8_t *bytes = malloc(row->len);
    assert_true(set && bytes && arena);
    memcpy(bytes, row->bytes, row->len);
    assert_int_equal(mys_recode_init(&recode, set, NULL), CDC_OK);
    assert_int_equal(mys_recode(&recode, cdc_slice_of(bytes, row->len), arena, &out),
                     row->utf8 ? CDC_OK : CDC_END);
    if (row->utf8)
        assert_memory_equal(out.p, row->utf8, strlen(row->utf8));
    mys_recode_done(&recode);
    cdc_arena_free(arena);
    free(bytes);
}

static void test_collations(void **state)
{
    static const uint32_t none[] = {0, 17, 100, 126, 324, 1024, 1041, 3328, 4000000000};
    (void)state;
    for (size_t i = 0; i < CM_COUNT(none); i++)
        assert_null(mys_charset_by_id(none[i]));
    assert_true(mys_charset_binary(mys_charset_by_id(63)));
    assert_string_equal(mys_charset_by_id(46)->name, "utf8mb4");
    assert_string_equal(mys_charset_by_id(3327)->name, "utf32");
}

int main(void)
{
    const struct CMUnitTest singles[] = {
        cmocka_unit_test(test_unsound),          cmocka_unit_test(test_vector),
        cmocka_unit_test(test_no_log_values),    cmocka_unit_test(test_faces),
        cmocka_unit_test(test_too_many_columns), cmocka_unit_test(test_collations)};
    struct CMUnitTest tests[CM_COUNT(rows) + CM_COUNT(merges) + CM_COUNT(texts) + 6], *to = tests;
    to = CM_ROWS(to, test_type, rows);
    to = CM_ROWS(to, test_merge, merges);
    to = CM_ROWS(to, test_text, texts);
    memcpy(to, singles, sizeof singles);
    return cmocka_run_group_tests_name("mysql: coltype", tests, NULL, NULL);
}
