/*
 * test_mysql_catalogue.c - the catalogue and the log of a real server say the same of every table:
 * one of each type, of each sort of key, of what a server adds by itself. MYURL in the environment
 * is the URL of an account with all rights.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../connectors/mysql/mysql.h"
#include "../unit/capture_rules.h"
#include "../unit/rows.h"

#define ON_MARIADB "m" /* for that server alone */
#define ON_MYSQL   "y"
#define ON_BOTH    ""
#define LIVE_MAX   64

/* A column of each type; in the form of a CREATE TABLE. */
static const struct type {
    const char *name, *server;
} types[] = {
    {"tinyint", ON_BOTH},
    {"tinyint unsigned", ON_BOTH},
    {"tinyint(1)", ON_BOTH},
    {"smallint unsigned", ON_BOTH},
    {"mediumint", ON_BOTH},
    {"int(5) unsigned zerofill", ON_BOTH},
    {"bigint unsigned", ON_BOTH},
    {"float(7,3)", ON_BOTH},
    {"double unsigned", ON_BOTH},
    {"decimal(10,2)", ON_BOTH},
    {"decimal(65,30) unsigned", ON_BOTH},
    {"bit(1)", ON_BOTH},
    {"bit(17)", ON_BOTH},
    {"year", ON_BOTH},
    {"date", ON_BOTH},
    {"time(1)", ON_BOTH},
    {"datetime", ON_BOTH},
    {"datetime(6)", ON_BOTH},
    {"timestamp(4) null", ON_BOTH},
    {"char(0)", ON_BOTH},
    {"char(255) character set utf8mb4", ON_BOTH},
    {"char(255) character set utf8mb3", ON_BOTH},
    {"char(64) character set ucs2", ON_BOTH},
    {"varchar(255) character set latin1", ON_BOTH},
    {"varchar(64) character set utf8mb4", ON_BOTH},
    {"varchar(86) character set utf8mb3", ON_BOTH},
    {"varchar(100) character set utf32", ON_BOTH},
    {"varchar(20) character set sjis", ON_BOTH},
    {"varchar(20) character set binary", ON_BOTH},
    {"binary(16)", ON_BOTH},
    {"varbinary(300)", ON_BOTH},
    {"tinytext", ON_BOTH},
    {"text character set latin1", ON_BOTH},
    {"longtext", ON_BOTH},
    {"mediumblob", ON_BOTH},
    {"enum('a','it''s','x,y','(z)','back\\\\slash','line\\n','nul\\0z') character set latin1",
     ON_BOTH},
    {"enum('q','\xc3\xa4\xe2\x82\xac') character set utf8mb4", ON_BOTH},
    {"set('1','2','3','4','5','6','7','8','9')", ON_BOTH},
    {"json", ON_BOTH},
    {"geometry", ON_BOTH},
    {"multipolygon", ON_BOTH},
    {"geometrycollection", ON_BOTH},
    {"boolean", ON_BOTH},
    {"decimal(40,38)", ON_MARIADB},
    {"uuid", ON_MARIADB},
    {"inet4", ON_MARIADB},
    {"inet6", ON_MARIADB},
    {"varchar(300) compressed character set utf8mb4", ON_MARIADB},
    {"text compressed", ON_MARIADB},
    {"varbinary(20) compressed", ON_MARIADB},
    {"varchar(9) collate utf8mb3_uca1400_nopad_ai_cs", ON_MARIADB},
    {"varchar(9) collate utf8mb4_uca1400_ai_ci", ON_MARIADB},
    {"vector(3)", ON_MYSQL},
    {"varchar(5) collate utf8mb4_ja_0900_as_cs_ks", ON_MYSQL},
    {"point srid 4326", ON_MYSQL},
};

/* What stands behind CREATE TABLE t, and what is inserted. */
static const struct table {
    const char *name, *server, *columns, *values;
} tables[] = {
    {"prefixes", ON_BOTH, "(a int, b int, c varchar(300) not null, primary key (c(10), a))",
     "(1,1,'x')"},
    {"key in another order", ON_BOTH, "(z int, y int, x int, primary key (x,z,y))", "(1,2,3)"},
    {"unique for a key", ON_BOTH,
     "(a int, b int not null, c varchar(9) not null, unique (c,b), unique (a))", "(1,1,'x')"},
    {"two of one set", ON_BOTH, "(a int not null, b int not null, unique y (a,b), unique x (b,a))",
     "(1,2)"},
    {"no key: nulls", ON_BOTH, "(a int, b int not null, unique (b,a))", "(1,1)"},
    {"no key: prefixes", ON_BOTH,
     "(b text not null, c varchar(99) not null, unique (b(5)), unique (c(7)))", "('x','y')"},
    {"generated", ON_BOTH,
     "(a int primary key, b int generated always as (a+1) virtual, c int generated always as (a+2) "
     "stored, key (b))",
     "(1,default,default)"},
    {"invisible", ON_BOTH, "(a int primary key, b int invisible, c int)", "(1,2)"},
    {"defaults", ON_BOTH,
     "(a int primary key, b int default 7, c varchar(20) default 'it''s', d datetime default "
     "current_timestamp on update current_timestamp, e varchar(10) not null default '', f "
     "varchar(9) "
     "default null, g int not null, h json default ('{}'), i bit(3) default b'101', k decimal(5,2) "
     "default 1.50)",
     "(1,2,'',now(),'','',1,'{}',b'1',1)"},
    {"odd names", ON_BOTH, "(`col``x` int primary key, `a\"b` int, `\xc3\xa4` int)", "(1,2,3)"},
    {"partitions", ON_BOTH, "(a int primary key) partition by hash(a) partitions 3", "(1)"},
    {"not transactional", ON_BOTH, "(a int primary key, b text) engine=MyISAM", "(1,'x')"},
    {"system versioning", ON_MARIADB, "(b int, a int, primary key (a, b)) with system versioning",
     "(1,2)"},
    {"versions without key", ON_MARIADB, "(a int) with system versioning", "(1)"},
    {"versions, declared", ON_MARIADB,
     "(a int primary key, s timestamp(6) generated always as row start, e timestamp(6) generated "
     "always as row end, period for system_time(s,e)) with system versioning",
     "(1,default,default)"},
    {"json by checks", ON_MARIADB,
     "(j json, k longtext check (json_valid(k)), l longtext, `we``ird` json, t text check "
     "(json_valid(t)), w longtext check (json_valid(w) or w is null), check (json_valid(l)))",
     "('1','1','1','1','1','1')"},
    {"unique over long values", ON_MARIADB, "(a int primary key, c text, unique (c))", "(1,'x')"},
    {"unique over long values, versions", ON_MARIADB,
     "(a int, c text, unique (c)) with system versioning", "(1,'x')"},
    {"functional indexes", ON_MYSQL,
     "(a int primary key, b varchar(20), j json, key ((lower(b))), key ((cast(j->'$.a' as unsigned "
     "array))))",
     "(1,'X','{\"a\":[1]}')"},
    {"generated key", ON_MYSQL, "(v int)", "(1)"},
    {"behind a vector", ON_MYSQL, "(v vector(2), a text, b varbinary(4), c varchar(5))",
     "(null,'a','b','c')"},
};

struct live {
    struct mys_source src;
    struct cdc_config cfg;
    struct cdc_arena *arena;
    char db[LIVE_MAX];
    unsigned n; /* tables made */
    struct cdc_error err;
};

static void ok(const struct live *lv, int rc)
{
    if (rc != CDC_OK)
        print_error("%s\n", lv->err.message);
    assert_int_equal(rc, CDC_OK);
}

static void sql(struct live *lv, const char *text)
{
    ok(lv, mys_sql(&lv->src.srv, &lv->err));
    int rc = mys_query(lv->src.srv.sql, text, NULL, &lv->err);
    if (rc != CDC_OK)
        print_error("%s\n", text);
    ok(lv, rc);
}

static void __attribute__((format(printf, 2, 3))) sqlf(struct live *lv, const char *fmt, ...)
{
    va_list args;
    char buf[16384];
    va_start(args, fmt);
    assert_true((size_t)vsnprintf(buf, sizeof buf, fmt, args) < sizeof buf);
    va_end(args);
    sql(lv, buf);
}

static struct live *live_open(void)
{
    static int serial;
    struct live *lv = calloc(1, sizeof *lv);
    char rules[512];
    assert_non_null(lv);
    assert_non_null(getenv("MYURL"));
    lv->arena = cdc_arena_new(SIZE_MAX);
    snprintf(lv->db, sizeof lv->db, "live_%d_%d", (int)getpid(), serial++);
    snprintf(rules, sizeof rules,
             "capture:\n- tables: '%s.not_*'\n  skip: true\n- tables: '%s.text_*'\n"
             "  snapshot: never\n  on_invalid: string\n- tables: '%s.*'\n  snapshot: never\n",
             lv->db, lv->db, lv->db);
    lv->cfg = (struct cdc_config){
        .path = "", .name = "t", .capture = read_rules(lv->arena, rules, NULL, &lv->err)};
    ok(lv, mys_server_of_url(&lv->src.srv, getenv("MYURL"), &lv->err));
    lv->src.srv.cfg = &lv->cfg;
    pthread_mutex_init(&lv->src.known_lock, NULL);
    cdc_map_init(&lv->src.known);
    ok(lv, mys_sql(&lv->src.srv, &lv->err));
    ok(lv, mys_facts_read(lv->src.srv.sql, &lv->src.facts, &lv->err));
    sql(lv, "SET GLOBAL binlog_row_metadata = FULL");
    sqlf(lv, "CREATE DATABASE %s", lv->db);
    sqlf(lv, "USE %s", lv->db);
    return lv;
}

static void live_close(struct live *lv)
{
    sqlf(lv, "DROP DATABASE %s", lv->db);
    mys_rels_done(&lv->src);
    mys_server_done(&lv->src.srv);
    cdc_map_done(&lv->src.known);
    pthread_mutex_destroy(&lv->src.known_lock);
    cdc_arena_free(lv->arena);
    free(lv);
}

static bool here(const struct live *lv, const char *server)
{
    return !*server || (strcmp(server, ON_MARIADB) == 0) == lv->src.facts.mariadb;
}

/* Where the log ends. */
static void mark(struct live *lv, struct mys_pos *ret)
{
    *ret = (struct mys_pos){0};
    ok(lv, mys_settled(lv->src.srv.sql, &lv->src.facts, INT64_MAX, ret, &lv->err));
}

/* The table maps of what came since; what is made of them by mys_rel_set. CDC_FAIL: the first that
 * was refused ended it. */
static int follow(struct live *lv, struct mys_pos *from)
{
    struct mys_dump *dump = NULL;
    struct cdc_slice bytes;
    const struct mys_dump_start start = {.file = from->file, .pos = from->pos, .once = true};
    int rc, set = CDC_OK;
    mys_rels_done(&lv->src);
    lv->src.fmt = (struct mys_format){.checksum = lv->src.facts.checksum};
    ok(lv, mys_dump_open(&lv->src.srv, &lv->src.facts, &start, &dump, &lv->err));
    while ((rc = mys_dump_next(dump, INT64_MAX, &bytes, &lv->err)) == CDC_OK && set == CDC_OK) {
        struct mys_event ev;
        ok(lv, mys_decode_head(&lv->src.fmt, bytes, &ev, &lv->err));
        ok(lv, mys_decode(&lv->src.fmt, &ev, &lv->err));
        if (ev.kind == MYS_FORMAT)
            lv->src.fmt = ev.format;
        if (ev.kind == MYS_TABLE_MAP)
            set = mys_rel_set(&lv->src, &ev, &lv->err);
    }
    if (set == CDC_OK && rc != CDC_END)
        ok(lv, rc);
    mys_dump_close(dump);
    mys_pos_done(from);
    return set;
}

/* CREATE TABLE t<n>, one row into it. */
static void make(struct live *lv, const char *columns, const char *values)
{
    char name[LIVE_MAX];
    snprintf(name, sizeof name, "t%u", lv->n++);
    sqlf(lv, "CREATE TABLE %s %s", name, columns);
    sqlf(lv, "INSERT INTO %s VALUES %s", name, values);
}

static void print_table(const char *who, const struct cdc_table *tab)
{
    for (uint16_t i = 0; i < tab->n; i++)
        print_error("  %s %s %s %s null %d key %u default %s\n", who, tab->cols[i].name,
                    tab->cols[i].type, cdc_kind_name(tab->cols[i].kind), tab->cols[i].nullable,
                    tab->cols[i].key, tab->cols[i].dflt ? tab->cols[i].dflt : "-");
}

static void check_fields(const struct mys_shape *now, const struct mys_rel *rel)
{
    assert_int_equal(now->n, rel->tab->n);
    assert_int_equal(now->n_invisible, rel->shape->n_invisible);
    for (uint32_t i = 0; i < now->n; i++) {
        const struct mys_field *a = &now->fields[i], *b = &rel->fields[i];
        assert_int_equal(a->type, b->type);
        assert_int_equal(a->meta, b->meta);
        assert_int_equal(a->is_unsigned, b->is_unsigned);
        assert_int_equal(a->face, b->face);
        assert_int_equal(a->text, b->text);
        if (a->type != MYS_GEOMETRY) /* nothing of it is recoded */
            assert_ptr_equal(a->recode.set, b->recode.set);
        assert_int_equal(a->n_labels, b->n_labels);
        for (uint32_t k = 0; k < a->n_labels; k++)
            assert_true(cdc_slice_eq(a->labels[k], b->labels[k]));
    }
}

static const struct mys_rel *find(const struct live *lv, const char *name)
{
    for (size_t i = 0; i < MYS_REL_BUCKETS; i++)
        for (const struct mys_rel *rel = lv->src.rels[i]; rel; rel = rel->next)
            if (strcmp(rel->schema, lv->db) == 0 && strcmp(rel->name, name) == 0)
                return rel;
    return NULL;
}

static int rel_now(struct live *lv, const char *name, struct cdc_table **ret)
{
    const struct mys_which which = {.schema = lv->db, .name = name};
    return mys_rel_now(&lv->src, lv->src.srv.sql, &which, ret, &lv->err);
}

/* The table as the log describes it and as the catalogue does. */
static void compare(struct live *lv, const char *name, const char *what)
{
    const struct mys_which which = {.schema = lv->db, .name = name};
    struct mys_described now = {.tab = NULL};
    const struct mys_rel *rel = find(lv, name);
    if (!rel || !rel->tab)
        fail_msg("%s: not in the log", what);
    ok(lv, mys_rel_describe(&lv->src, lv->src.srv.sql, &which, &now, &lv->err));
    if (!cdc_table_same(rel->tab, now.tab)) {
        print_table("log", rel->tab);
        print_table("catalogue", now.tab);
        fail_msg("%s: the log and the catalogue differ", what);
    }
    assert_int_equal(now.tab->version, rel->tab->version);
    check_fields(now.shape, rel);
    cdc_table_unref(now.tab);
    mys_shape_free(now.shape);
}

static void test_types(void **state)
{
    struct live *lv = live_open();
    struct mys_pos pos;
    const char *made[CM_COUNT(types)];
    (void)state;
    mark(lv, &pos);
    for (size_t i = 0; i < CM_COUNT(types); i++) {
        struct cdc_buf columns = CDC_BUF(4096);
        if (!here(lv, types[i].server))
            continue;
        made[lv->n] = types[i].name;
        cdc_buf_printf(&columns, "(id int primary key, v %s, w text)", types[i].name);
        make(lv, cdc_buf_cstr(&columns), "(1, NULL, NULL)");
        cdc_buf_done(&columns);
    }
    ok(lv, follow(lv, &pos));
    for (unsigned i = 0; i < lv->n; i++) {
        char name[LIVE_MAX];
        snprintf(name, sizeof name, "t%u", i);
        compare(lv, name, made[i]);
    }
    live_close(lv);
}

static void test_tables(void **state)
{
    struct live *lv = live_open();
    struct mys_pos pos;
    const char *made[CM_COUNT(tables)];
    (void)state;
    mark(lv, &pos);
    if (!lv->src.facts.mariadb) /* else the key of a table without one would be missed */
        sql(lv, "SET GLOBAL show_gipk_in_create_table_and_information_schema = OFF");
    for (size_t i = 0; i < CM_COUNT(tables); i++) {
        if (!here(lv, tables[i].server))
            continue;
        bool generated = strcmp(tables[i].name, "generated key") == 0;
        if (generated)
            sql(lv, "SET SESSION sql_generate_invisible_primary_key = ON");
        made[lv->n] = tables[i].name;
        make(lv, tables[i].columns, tables[i].values);
        if (generated)
            sql(lv, "SET SESSION sql_generate_invisible_primary_key = OFF");
    }
    mys_sql_close(&lv->src.srv);
    ok(lv, mys_sql(&lv->src.srv, &lv->err));
    ok(lv, follow(lv, &pos));
    for (unsigned i = 0; i < lv->n; i++) {
        char name[LIVE_MAX];
        snprintf(name, sizeof name, "t%u", i);
        compare(lv, name, made[i]);
    }
    if (!lv->src.facts.mariadb)
        sql(lv, "SET GLOBAL show_gipk_in_create_table_and_information_schema = ON");
    live_close(lv);
}

/* Names, keys and labels come from the catalogue then, and are the same. */
static void test_minimal(void **state)
{
    struct live *lv = live_open();
    struct mys_pos pos;
    (void)state;
    sql(lv, lv->src.facts.mariadb ? "SET GLOBAL binlog_row_metadata = NO_LOG"
                                  : "SET GLOBAL binlog_row_metadata = MINIMAL");
    mark(lv, &pos);
    make(lv,
         "(b int unsigned, a varchar(10), e enum('x','\xc3\xa4') character set latin1, t text, j "
         "json, "
         "g point, primary key (b, a(3)))",
         "(1,'x','x','t','{}',null)");
    make(lv, "(a int primary key)", "(1)");
    int rc = follow(lv, &pos);
    if (rc == CDC_OK)
        compare(lv, "t0", "minimal");
    /* dropped before it was read: nobody knows the names */
    mark(lv, &pos);
    make(lv, "(a int primary key)", "(1)");
    sql(lv, "DROP TABLE t2");
    sql(lv, "SET GLOBAL binlog_row_metadata = FULL");
    ok(lv, rc);
    assert_int_equal(follow(lv, &pos), CDC_FAIL);
    assert_int_equal(lv->err.action, CDC_OPERATOR);
    assert_non_null(strstr(lv->err.message, "binlog_row_metadata = 'FULL'"));
    live_close(lv);
}

/* Behind the log: what was dropped and altered since is read all the same, with FULL metadata. */
static void test_gone(void **state)
{
    struct live *lv = live_open();
    struct mys_pos pos;
    struct cdc_table *tab = NULL;
    (void)state;
    mark(lv, &pos);
    make(lv, "(a int primary key, b varchar(10) default 'x')", "(1,'y')");
    make(lv, "(a int primary key, b varchar(10) default 'x')", "(1,'y')");
    sql(lv, "DROP TABLE t0");
    sql(lv, "ALTER TABLE t1 RENAME COLUMN b TO c, ADD COLUMN d int");
    ok(lv, follow(lv, &pos));
    ok(lv, mys_rel_by_name(&lv->src, lv->db, "t0", &tab, &lv->err));
    assert_string_equal(tab->cols[1].name, "b");
    assert_null(tab->cols[1].dflt); /* nobody knows */
    cdc_table_unref(tab);
    assert_string_equal(find(lv, "t1")->tab->cols[1].name, "b");
    assert_int_equal(find(lv, "t1")->tab->n, 2);
    /* the version of today is the next one, of the copy as of the log */
    ok(lv, rel_now(lv, "t1", &tab));
    assert_int_equal(tab->version, 2);
    assert_string_equal(tab->cols[1].name, "c");
    cdc_table_unref(tab);
    mark(lv, &pos);
    sql(lv, "INSERT INTO t1 VALUES (2, 'z', 3)");
    ok(lv, follow(lv, &pos));
    compare(lv, "t1", "altered");
    live_close(lv);
}

/* on_invalid: string: dates and times are text, of the log and of a copy. */
static void test_texts(void **state)
{
    static const enum cdc_kind kinds[] = {CDC_INT,  CDC_TEXT, CDC_TEXT,
                                          CDC_TEXT, CDC_TEXT, CDC_DECIMAL};
    struct live *lv = live_open();
    struct mys_pos pos;
    (void)state;
    mark(lv, &pos);
    sql(lv, "CREATE TABLE text_me (id int primary key, a date, b time(2), c datetime, d timestamp "
            "null, e decimal(5,2))");
    sql(lv, "INSERT INTO text_me (id) VALUES (1)");
    ok(lv, follow(lv, &pos));
    compare(lv, "text_me", "on_invalid: string");
    const struct mys_rel *rel = find(lv, "text_me");
    for (uint16_t i = 0; i < CM_COUNT(kinds); i++) {
        assert_int_equal(rel->tab->cols[i].kind, kinds[i]);
        assert_int_equal(rel->fields[i].text, kinds[i] == CDC_TEXT);
    }
    live_close(lv);
}

/* Neither views nor sequences nor what is not captured; tables that are copied are known by name.
 */
static void test_no_tables(void **state)
{
    static const char *const names[] = {"v", "not_me", "missing", "s"};
    struct live *lv = live_open();
    struct cdc_table *tab = NULL;
    struct mys_pos pos;
    (void)state;
    mark(lv, &pos);
    sql(lv, "CREATE TABLE t (a int primary key)");
    sql(lv, "CREATE TABLE not_me (a int primary key)");
    sql(lv, "CREATE VIEW v AS SELECT * FROM t");
    if (lv->src.facts.mariadb) {
        sql(lv, "CREATE SEQUENCE s");
        sql(lv, "DO NEXT VALUE FOR s");
    }
    for (size_t i = 0; i < CM_COUNT(names); i++)
        assert_int_equal(rel_now(lv, names[i], &tab), CDC_END);
    ok(lv, follow(lv, &pos));
    if (lv->src.facts.mariadb) {
        assert_null(find(lv, "s")->tab);
        assert_int_equal(find(lv, "s")->n, 8);
    }
    ok(lv, mys_rel_by_name(&lv->src, lv->db, "t", &tab, &lv->err));
    assert_null(tab);
    ok(lv, rel_now(lv, "t", &tab));
    cdc_table_unref(tab);
    ok(lv, mys_rel_by_name(&lv->src, lv->db, "t", &tab, &lv->err));
    assert_non_null(tab);
    cdc_table_unref(tab);
    live_close(lv);
}

static const struct mys_cat_table *listed(const struct mys_cat_tables *all, const char *name)
{
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->tabs[i].name, name) == 0)
            return &all->tabs[i];
    fail_msg("%s is not listed", name);
    return NULL;
}

static const char *const list_sql[] = {
    "CREATE TABLE par (id int primary key)",
    "CREATE TABLE child (id int, p int, foreign key (p) references par (id) on delete cascade)",
    "CREATE TABLE `k-\xc3\xa4` (id int, p int, foreign key (p) references par (id) on update "
    "cascade)",
    "CREATE TABLE safe (id int, p int, foreign key (p) references par (id))",
    "CREATE TABLE `s-\xc3\xa4` (id int, p int, foreign key (p) references par (id))",
    "CREATE TABLE not_me (a int primary key)",
    "CREATE VIEW v AS SELECT * FROM par",
};

static void look_list(struct live *lv, MYSQL *conn)
{
    struct mys_cat_tables all, names, keys;
    ok(lv, mys_catalogue_list(conn, &lv->cfg, lv->arena, &all, &lv->err));
    ok(lv, mys_catalogue_names(conn, &lv->cfg, lv->arena, &names, &lv->err));
    ok(lv, mys_catalogue_cascades(conn, &lv->cfg, lv->arena, &keys, &lv->err));
    assert_int_equal(all.n, CM_COUNT(list_sql));
    assert_int_equal(names.n, all.n);
    assert_int_equal(keys.n, all.n);
    for (size_t i = 0; i < all.n; i++) {
        const struct mys_cat_table *tab = &all.tabs[i];
        const struct mys_which which = {.schema = tab->schema, .name = tab->name};
        bool linked;
        assert_string_equal(tab->schema, lv->db);
        assert_string_equal(tab->name, names.tabs[i].name);
        assert_ptr_equal(tab->rule, names.tabs[i].rule);
        assert_int_equal(tab->base, strcmp(tab->name, "v") != 0);
        assert_int_equal(tab->rule != NULL, strcmp(tab->name, "not_me") != 0);
        assert_int_equal(tab->cascades,
                         strcmp(tab->name, "child") == 0 || strncmp(tab->name, "k-", 2) == 0);
        assert_int_equal(tab->cascades, keys.tabs[i].cascades);
        assert_string_equal(tab->engine, names.tabs[i].engine);
        if (tab->base) {
            ok(lv, mys_catalogue_cascade(conn, &which, &linked, &lv->err));
            assert_int_equal(linked, tab->cascades);
        }
    }
    assert_true(listed(&all, "par")->keyed);
    assert_false(listed(&all, "child")->keyed);
    assert_string_equal(listed(&all, "child")->engine, "InnoDB");
}

/* As an account with nothing but SELECT sees it, from which MariaDB hides what foreign keys do; and
 * as one with PROCESS, which may ask InnoDB. */
static void test_list(void **state)
{
    struct live *lv = live_open();
    const struct mys_which gone = {.schema = lv->db, .name = "none"}, nowhere = {"none", "none"};
    bool linked = true;
    char user[LIVE_MAX + 1], password[] = "x";
    (void)state;
    snprintf(user, sizeof user, "u%s", lv->db);
    for (size_t i = 0; i < CM_COUNT(list_sql); i++)
        sql(lv, list_sql[i]);
    sqlf(lv, "CREATE USER %s@'%%' IDENTIFIED BY '%s'", user, password);
    sqlf(lv, "GRANT SELECT ON %s.* TO %s@'%%'", lv->db, user);
    struct mys_server srv = lv->src.srv;
    srv.user = user;
    srv.password = password;
    for (int process = 0; process < 2; process++) {
        MYSQL *conn = NULL;
        if (process)
            sqlf(lv, "GRANT PROCESS ON *.* TO %s%s", user, "@'%'");
        ok(lv, mys_connect(&srv, &conn, &lv->err));
        look_list(lv, conn);
        mysql_close(conn);
    }
    ok(lv, mys_catalogue_cascade(lv->src.srv.sql, &gone, &linked, &lv->err));
    assert_false(linked);
    linked = true;
    ok(lv, mys_catalogue_cascade(lv->src.srv.sql, &nowhere, &linked, &lv->err));
    assert_false(linked);
    sqlf(lv, "DROP USER %s@'%%'", user);
    live_close(lv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),   cmocka_unit_test(test_tables),
        cmocka_unit_test(test_minimal), cmocka_unit_test(test_gone),
        cmocka_unit_test(test_texts),   cmocka_unit_test(test_no_tables),
        cmocka_unit_test(test_list)};
    return cmocka_run_group_tests_name("mysql: catalogue", tests, NULL, NULL);
}
