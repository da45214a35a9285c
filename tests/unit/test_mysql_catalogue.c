/*
 * test_mysql_catalogue.c - what information_schema says of a column, as a table map would say it:
 * the same bytes, the same printed type. Checks, foreign keys, labels by their words.
 */
#include "mysql_kit.h"

#include "../../connectors/mysql/infotype.h"

enum { BOTH, MARIADB, MYSQL };

static const struct row {
    const char *name; /* COLUMN_TYPE */
    int server;
    uint32_t collation;
    uint8_t type;
    uint16_t meta;
    int is_unsigned;
    const char *printed;
} rows[] = {
    {"tinyint(4)", BOTH, 0, MYS_TINY, 0, 0, "tinyint"},
    {"tinyint(1)", BOTH, 0, MYS_TINY, 0, 0, "tinyint"},
    {"tinyint unsigned", BOTH, 0, MYS_TINY, 0, 1, "tinyint unsigned"},
    {"smallint(5) unsigned zerofill", BOTH, 0, MYS_SHORT, 0, 1, "smallint unsigned"},
    {"mediumint", BOTH, 0, MYS_INT24, 0, 0, "mediumint"},
    {"int(10) unsigned", BOTH, 0, MYS_LONG, 0, 1, "int unsigned"},
    {"bigint(20)", BOTH, 0, MYS_LONGLONG, 0, 0, "bigint"},
    {"float(7,3)", BOTH, 0, MYS_FLOAT, 4, 0, "float"},
    {"double(10,2) unsigned", BOTH, 0, MYS_DOUBLE, 8, 1, "double unsigned"},
    {"decimal(10,2)", BOTH, 0, MYS_NEWDECIMAL, 0x020a, 0, "decimal(10,2)"},
    {"decimal(65,30) unsigned", BOTH, 0, MYS_NEWDECIMAL, 0x1e41, 1, "decimal(65,30) unsigned"},
    {"bit(1)", BOTH, 0, MYS_BIT, 1, -1, "bit(1)"},
    {"bit(17)", BOTH, 0, MYS_BIT, 0x0201, -1, "bit(17)"},
    {"bit(64)", BOTH, 0, MYS_BIT, 0x0800, -1, "bit(64)"},
    {"year(4)", BOTH, 0, MYS_YEAR, 0, 1, "year"},
    {"date", BOTH, 0, MYS_DATE, 0, -1, "date"},
    {"time", BOTH, 0, MYS_TIME2, 0, -1, "time"},
    {"time(6)", BOTH, 0, MYS_TIME2, 6, -1, "time(6)"},
    {"datetime(3)", BOTH, 0, MYS_DATETIME2, 3, -1, "datetime(3)"},
    {"timestamp(1)", BOTH, 0, MYS_TIMESTAMP2, 1, -1, "timestamp(1)"},
    {"time /* mariadb-5.3 */", MARIADB, 0, MYS_TIME, 0, -1, "time"},
    {"datetime(6) /* mariadb-5.3 */", MARIADB, 0, MYS_DATETIME, 0, -1, "datetime"},
    {"timestamp /* mariadb-5.3 */", MARIADB, 0, MYS_TIMESTAMP, 0, -1, "timestamp"},
    {"char(0)", BOTH, 45, MYS_STRING, 0x00fe, -1, "char(0)"},
    {"char(10)", BOTH, 8, MYS_STRING, 0x0afe, -1, "char(10)"},
    {"char(64)", BOTH, 45, MYS_STRING, 0x00ee, -1, "char(64)"},
    {"char(255)", BOTH, 45, MYS_STRING, 0xfcce, -1, "char(255)"},
    {"char(255)", BOTH, 33, MYS_STRING, 0xfdde, -1, "char(255)"},
    {"binary(16)", BOTH, 0, MYS_STRING, 0x10fe, -1, "binary(16)"},
    {"varchar(255)", BOTH, 8, MYS_VARCHAR, 255, -1, "varchar(255)"},
    {"varchar(64)", BOTH, 45, MYS_VARCHAR, 256, -1, "varchar(64)"},
    {"varchar(86)", BOTH, 33, MYS_VARCHAR, 258, -1, "varchar(86)"},
    {"varchar(16383)", BOTH, 255, MYS_VARCHAR, 65532, -1, "varchar(16383)"},
    {"varbinary(300)", BOTH, 0, MYS_VARCHAR, 300, -1, "varbinary(300)"},
    {"varchar(9)", MARIADB, 2304, MYS_VARCHAR, 36, -1, "varchar(9)"},
    {"varchar(20) /*M!100301 COMPRESSED*/", MARIADB, 8, MYS_VARCHAR_COMPRESSED, 21, -1,
     "varchar(20)"},
    {"varbinary(20) /*!100301 COMPRESSED*/", MARIADB, 0, MYS_VARCHAR_COMPRESSED, 21, -1,
     "varbinary(20)"},
    {"tinytext", BOTH, 45, MYS_BLOB, 1, -1, "tinytext"},
    {"longtext", BOTH, 45, MYS_BLOB, 4, -1, "longtext"},
    {"mediumblob", BOTH, 0, MYS_BLOB, 3, -1, "mediumblob"},
    {"text /*M!100301 COMPRESSED*/", MARIADB, 8, MYS_BLOB_COMPRESSED, 2, -1, "text"},
    {"enum('a')", BOTH, 45, MYS_STRING, 0x01f7, -1, "enum"},
    {"enum('a,b',' COMPRESSED*/','it''s, (so)')", MARIADB, 45, MYS_STRING, 0x01f7, -1, "enum"},
    {"set('1','2','3','4','5','6','7','8','9')", BOTH, 8, MYS_STRING, 0x02f8, -1, "set"},
    {"set('unsigned')", BOTH, 8, MYS_STRING, 0x01f8, -1, "set"},
    {"json", MYSQL, 0, MYS_JSON, 4, -1, "json"},
    {"point", BOTH, 0, MYS_GEOMETRY, 4, -1, "point"},
    {"geomcollection", MYSQL, 0, MYS_GEOMETRY, 4, -1, "geomcollection"},
    {"geometrycollection", MARIADB, 0, MYS_GEOMETRY, 4, -1, "geomcollection"},
    {"vector(3)", MYSQL, 0, MYS_VECTOR, 4, -1, "vector(3)"},
    {"vector(3)", MARIADB, 0, MYS_VARCHAR, 12, -1, "varbinary(12)"},
    {"uuid", MARIADB, 0, MYS_STRING, 0x10fe, -1, "binary(16)"},
    {"inet6", MARIADB, 0, MYS_STRING, 0x10fe, -1, "binary(16)"},
    {"inet4", MARIADB, 0, MYS_STRING, 0x04fe, -1, "binary(4)"},
};

static void check_column(const struct row *row, bool mariadb)
{
    const struct mys_info_row from = {
        .name = "v", .type = row->name, .extra = "INVISIBLE", .collation = row->collation};
    struct mys_map_column col;
    char text[64];
    assert_int_equal(mys_map_column_of(&from, mariadb, &col), CDC_OK);
    assert_int_equal(col.type, row->type);
    assert_int_equal(col.meta, row->meta);
    assert_int_equal(col.is_unsigned, row->is_unsigned);
    assert_int_equal(col.invisible, !mariadb); /* MariaDB's maps do not say it */
    const struct mys_type_spec spec = {.type = col.type,
                                       .meta = col.meta,
                                       .is_unsigned = col.is_unsigned > 0,
                                       .charset = mys_charset_by_id(col.charset),
                                       .geometry = col.geometry,
                                       .dimension = col.dimension};
    struct mys_field field;
    struct cdc_column to;
    assert_int_equal(mys_type_apply(&spec, &field, &to), CDC_OK);
    mys_type_print(&spec, text, sizeof text);
    assert_string_equal(text, row->printed);
}

/* Cut short anywhere it is some column or none, and nothing behind it is read. */
static void check_prefixes(const char *type)
{
    for (size_t len = 0; len < strlen(type); len++) {
        char *cut = strndup(type, len);
        const struct mys_info_row from = {.name = "v", .type = cut, .extra = "", .collation = 45};
        struct mys_map_column col;
        int rc = mys_map_column_of(&from, true, &col);
        assert_true(rc == CDC_OK || rc == CDC_END);
        assert_false(mys_check_is_json(cut, "v"));
        free(cut);
    }
}

static void test_column(void **state)
{
    const struct row *row = *state;
    check_prefixes(row->name);
    if (row->server != MYSQL)
        check_column(row, true);
    if (row->server != MARIADB)
        check_column(row, false);
}

/* As many labels as need another number of bytes. */
static void test_many_labels(void **state)
{
    static const struct {
        const char *name;
        unsigned n;
        uint16_t meta;
    } sizes[] = {{"enum", 255, 0x01f7}, {"enum", 256, 0x02f7}, {"set", 8, 0x01f8},
                 {"set", 16, 0x02f8},   {"set", 24, 0x03f8},   {"set", 32, 0x04f8},
                 {"set", 33, 0x08f8},   {"set", 64, 0x08f8}};
    (void)state;
    for (size_t i = 0; i < CM_COUNT(sizes); i++) {
        char type[4096];
        size_t len = (size_t)snprintf(type, sizeof type, "%s(", sizes[i].name);
        for (unsigned k = 0; k < sizes[i].n; k++)
            len += (size_t)snprintf(type + len, sizeof type - len, "%s'l%u'", k ? "," : "", k);
        snprintf(type + len, sizeof type - len, ")");
        const struct mys_info_row from = {.name = "v", .type = type, .extra = "", .collation = 8};
        struct mys_map_column col;
        assert_int_equal(mys_map_column_of(&from, false, &col), CDC_OK);
        assert_int_equal(col.meta, sizes[i].meta);
    }
}

static void test_unknown(void **state)
{
    static const char *const bad[] = {
        "",          "xmltype",        "int8", "tinyintx", "varchar(300)",
        "char(400)", "varchar(20000)", "(",    "char"};
    (void)state;
    for (size_t i = 0; i < CM_COUNT(bad); i++) {
        /* varchar(300) has a charset that nobody knows */
        const struct mys_info_row from = {
            .name = "v", .type = bad[i], .extra = "", .collation = i == 4 ? 999 : 45};
        struct mys_map_column col;
        int want = i == CM_COUNT(bad) - 1 ? CDC_OK : CDC_END; /* without a length: nothing in it */
        assert_int_equal(mys_map_column_of(&from, true, &col), want);
    }
}

/* --- checks and foreign keys --- */

static const struct clause {
    const char *name, *column;
    bool json;
} clauses[] = {
    {"json_valid(`j`)", "j", true},
    {"JSON_VALID(`j`)", "j", true},
    {"json_valid(`we``ird`)", "we`ird", true},
    {"json_valid(`we``ird`)", "we``ird", false},
    {"json_valid(`j`)", "k", false},
    {"json_valid(`j`)", "j2", false},
    {"json_valid(`j2`)", "j", false},
    {"json_valid(`j`) and `j` > 0", "j", false},
    {"json_valid(`j`) or `j` is null", "j", false},
    {"`j` > 0", "j", false},
    {"json_valid(`", "j", false},
    {"json_valid(`j", "j", false},
    {"", "j", false},
};

static void test_clause(void **state)
{
    const struct clause *row = *state;
    assert_int_equal(mys_check_is_json(row->name, row->column), row->json);
}

#define HEAD "CREATE TABLE `c` (\n  `id` int NOT NULL COMMENT 'x) ON DELETE CASCADE',\n"
#define TAIL "\n) ENGINE=InnoDB COMMENT='CASCADE'"
#define KEY  "  CONSTRAINT `f` FOREIGN KEY (`p`) REFERENCES `par` (`id`)"

static const struct create {
    const char *name, *text;
    bool cascades;
} creates[] = {
    {"none", HEAD "  PRIMARY KEY (`id`)" TAIL, false},
    {"refuses", HEAD KEY TAIL, false},
    {"deletes", HEAD KEY " ON DELETE CASCADE" TAIL, true},
    {"the first of two", HEAD KEY " ON DELETE SET NULL,\n" KEY TAIL, true},
    {"the second of two", HEAD KEY ",\n" KEY " ON DELETE RESTRICT ON UPDATE CASCADE" TAIL, true},
    {"a default", HEAD KEY " ON UPDATE SET DEFAULT" TAIL, true},
    {"no action", HEAD KEY " ON DELETE NO ACTION ON UPDATE NO ACTION" TAIL, false},
    {"a check that says so", HEAD "  CONSTRAINT `k` CHECK (`a` <> ' CASCADE')" TAIL, false},
    {"a name that says so",
     HEAD "  CONSTRAINT `a ON DELETE CASCADE` FOREIGN KEY (`p`) REFERENCES `q CASCADE` (`id`)" TAIL,
     false},
    {"one line", "CREATE TABLE x (a int)", false},
    {"nothing", "", false},
};

static void test_create(void **state)
{
    const struct create *row = *state;
    assert_int_equal(mys_create_cascades(row->text), row->cascades);
}

/* --- labels --- */

/* COLUMN_TYPE escapes; the labels of a map are plain. Both print alike, and as COLUMN_TYPE. */
static void test_labels(void **state)
{
    static const char type[] =
        "enum('a','it''s','b\\\\c','n\\nl','r\\rx','z\\0y','\\\\n','tab\tx')";
    static const uint8_t labels[] = "\10\1a\4it's\3b\\c\3n\nl\3r\rx\3z\0y\2\\n\5tab\tx";
    const struct mys_info_row from = {.name = "v", .type = type, .extra = "", .collation = 8};
    const struct mys_info_column info_col = {.name = "v", .type = type, .collation = 8};
    const struct mys_info info = {1, &info_col, true};
    struct mys_map_column col;
    const struct mys_map_columns map = {.n = 1, .has_names = true, .cols = &col};
    struct mys_shape *by_info = NULL, *by_map = NULL;
    (void)state;
    assert_int_equal(mys_map_column_of(&from, true, &col), CDC_OK);
    assert_int_equal(mys_shape_new(&map, &info, KIT_MAX, &by_info, NULL), CDC_OK);
    col.labels = cdc_slice_of(labels, sizeof labels - 1);
    assert_int_equal(mys_shape_new(&map, NULL, KIT_MAX, &by_map, NULL), CDC_OK);
    assert_string_equal(by_info->cols[0].type, type);
    assert_string_equal(by_map->cols[0].type, type);
    assert_int_equal(by_info->fields[0].n_labels, 8);
    for (uint32_t i = 0; i < 8; i++)
        assert_true(cdc_slice_eq(by_info->fields[0].labels[i], by_map->fields[0].labels[i]));
    assert_int_equal(by_map->fields[0].labels[5].len, 3);
    mys_shape_free(by_info);
    mys_shape_free(by_map);
}

/* --- a map of MySQL 9.7 --- */

/* a varchar latin1, v vector(3), b varchar utf8mb4, c varbinary, g geometry, d utf8mb4_bin: a
 * vector has a place among the charsets, a geometry has none. */
static void test_vector_charsets(void **state)
{
    static const uint8_t body[] = {
        0xf2, 0,    0,    0,    0,    0,    1,    0, 2,    0x64, 0x76, 0, 2,    0x76, 0x31, 0,    6,
        0x0f, 0xf2, 0x0f, 0x0f, 0xff, 0x0f, 0x0a, 5, 0,    4,    0x18, 0, 7,    0,    4,    0x20, 0,
        0x3f, 3,    7,    8,    0x3f, 0xfc, 0xff, 0, 0x3f, 0x2e, 7,    1, 0,    0x0d, 1,    3,    4,
        0x0c, 1,    0x61, 1,    0x76, 1,    0x62, 1, 0x63, 1,    0x67, 1, 0x64, 0x0c, 1,    0xfc};
    static const uint32_t charsets[] = {8, 63, 255, 63, 0, 46};
    const struct mys_format fmt = {0};
    struct mys_event ev = {.type = 19, .kind = MYS_OTHER, .body = cdc_slice_of(body, sizeof body)};
    struct mys_map_columns map;
    struct cdc_arena *arena = cdc_arena_new(SIZE_MAX);
    (void)state;
    assert_int_equal(mys_decode(&fmt, &ev, NULL), CDC_OK);
    assert_int_equal(mys_decode_columns(&fmt, &ev, arena, &map, NULL), CDC_OK);
    assert_int_equal(map.n, 6);
    for (size_t i = 0; i < CM_COUNT(charsets); i++)
        assert_int_equal(map.cols[i].charset, charsets[i]);
    assert_int_equal(map.cols[1].dimension, 3);
    cdc_arena_free(arena);
}

/* id int, y year, u int unsigned, s int, b bit, u2 int unsigned, j json, u3 int unsigned: whether a
 * YEAR has a sign is the version's. */
static void test_year_signs(void **state)
{
    static const struct {
        const char *server;
        uint8_t bits;
        int8_t signs[8];
    } years[] = {{"8.0.15", 0x58, {0, 1, 1, 0, -1, 1, -1, 1}},
                 {"8.0.31", 0x6c, {0, 1, 1, 0, -1, 1, -1, 1}},
                 {"", 0x6c, {0, 1, 1, 0, -1, 1, -1, 1}},
                 {"8.0.20", 0x6c, {0, 1, -1, -1, -1, -1, -1, -1}},
                 {"8.0.20-log", 0x18, {0, 1, 0, 0, -1, 1, -1, 1}}};
    uint8_t body[] = {0x55, 0, 0, 0,  0, 0,    1, 0, 1, 'y', 0, 1,    't', 0, 8, 3,
                      0x0d, 3, 3, 16, 3, 0xf5, 3, 3, 3, 0,   4, 0xfe, 1,   1, 0};
    struct cdc_arena *arena = cdc_arena_new(SIZE_MAX);
    (void)state;
    for (size_t i = 0; i < CM_COUNT(years); i++) {
        struct mys_format fmt = {0};
        struct mys_event ev = {.type = 19, .kind = MYS_OTHER, .body = {body, sizeof body}};
        struct mys_map_columns map;
        snprintf(fmt.server, sizeof fmt.server, "%s", years[i].server);
        body[sizeof body - 1] = years[i].bits;
        assert_int_equal(mys_decode(&fmt, &ev, NULL), CDC_OK);
        assert_int_equal(mys_decode_columns(&fmt, &ev, arena, &map, NULL), CDC_OK);
        for (size_t c = 0; c < 8; c++)
            assert_int_equal(map.cols[c].is_unsigned, years[i].signs[c]);
    }
    cdc_arena_free(arena);
}

/* --- on_invalid: string --- */

static const struct printed {
    const char *name;
    uint8_t type;
    uint16_t meta;
    const char *bytes;
    size_t len;
    const char *text;
} prints[] = {
    {"date", MYS_DATE, 0, "\x21\xd0\x0f", 3, "2024-01-01"},
    {"zero date", MYS_DATE, 0, "\0\0\0", 3, "0000-00-00"},
    {"time", MYS_TIME2, 0, "\x80\xa8\x45", 3, "10:33:05"},
    {"time of some days, minus", MYS_TIME2, 0, "\x4b\x91\x05", 3, "-838:59:59"},
    {"datetime", MYS_DATETIME2, 2, "\x99\xb2\x42\x00\x00\x05", 6, "2024-01-01 00:00:00.05"},
    {"zero datetime", MYS_DATETIME2, 0, "\x80\0\0\0\0", 5, "0000-00-00 00:00:00"},
    {"timestamp", MYS_TIMESTAMP2, 3, "\x65\x92\x00\x80\x04\xce", 6, "2024-01-01 00:00:00.123"},
    {"timestamp, the last", MYS_TIMESTAMP2, 0, "\x7f\xff\xff\xff", 4, "2038-01-19 03:14:07"},
    {"zero timestamp", MYS_TIMESTAMP2, 1, "\0\0\0\0\0", 5, "0000-00-00 00:00:00.0"},
};

static void test_printed(void **state)
{
    const struct printed *row = *state;
    const struct mys_type_spec spec = {.type = row->type, .meta = row->meta};
    struct mys_field field;
    struct cdc_column col;
    struct cdc_value val;
    struct cdc_arena *arena = cdc_arena_new(SIZE_MAX);
    struct cdc_reader rd = cdc_reader_of((const uint8_t *)row->bytes, row->len);
    assert_int_equal(mys_type_apply(&spec, &field, &col), CDC_OK);
    field.text = true;
    assert_int_equal(field.parse(&field, &rd, arena, &val), CDC_OK);
    assert_int_equal(val.kind, CDC_TEXT);
    assert_int_equal(val.len, strlen(row->text));
    assert_memory_equal(val.p, row->text, val.len);
    assert_int_equal(cdc_reader_left(&rd), 0);
    cdc_arena_free(arena);
}

int main(void)
{
    struct CMUnitTest
        tests[CM_COUNT(rows) + CM_COUNT(clauses) + CM_COUNT(creates) + CM_COUNT(prints) + 5],
        *to = tests;
    to = CM_ROWS(to, test_column, rows);
    to = CM_ROWS(to, test_clause, clauses);
    to = CM_ROWS(to, test_create, creates);
    to = CM_ROWS(to, test_printed, prints);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_many_labels);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_unknown);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_labels);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_vector_charsets);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_year_signs);
    return cmocka_run_group_tests_name("mysql: catalogue", tests, NULL, NULL);
}
