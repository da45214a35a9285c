/*
 * test_mysql_server.c - what the server's variables mean for the rows in its log.
 */
#define mys_facts_read         t_facts_read
#define mys_facts_refuse       t_facts_refuse
#define mys_fingerprint        t_fingerprint
#define mys_log_end            t_log_end
#define mys_executed           t_executed
#define mys_owned              t_owned
#define mys_snapshot_place     t_snapshot_place
#define mys_gtids_at           t_gtids_at
#define mys_settled            t_settled
#define mys_replica_status_sql t_replica_status_sql

#include "rows.h"

#include "../../connectors/mysql/server.c"

static const struct row {
    const char *name;
    bool mariadb;
    const char *format, *image, *metadata; /* NULL: the server has no such variable */
    bool row_format;
    enum mys_image images;
    enum mys_metadata names;
} rows[] = {
    {"as it should be", false, "ROW", "FULL", "FULL", true, MYS_IMAGE_FULL, MYS_META_FULL},
    {"small letters", true, "row", "full", "full", true, MYS_IMAGE_FULL, MYS_META_FULL},
    {"MariaDB's defaults", true, "MIXED", "FULL", "NO_LOG", false, MYS_IMAGE_FULL, MYS_META_NONE},
    {"statements", false, "STATEMENT", "NOBLOB", "MINIMAL", false, MYS_IMAGE_NOBLOB,
     MYS_META_MINIMAL},
    {"a MySQL without other formats", false, NULL, "MINIMAL", "FULL", true, MYS_IMAGE_MINIMAL,
     MYS_META_FULL},
    {"a MariaDB that does not tell", true, NULL, "FULL", "FULL", false, MYS_IMAGE_FULL,
     MYS_META_FULL},
    {"an image of MariaDB's", true, "ROW", "FULL_NODUP", "FULL", true, MYS_IMAGE_MINIMAL,
     MYS_META_FULL},
};

static void put(struct vars *vars, enum var var, const char *text)
{
    snprintf(vars->text[var], sizeof vars->text[var], "%s", text ? text : "");
}

static void test_rows(void **state)
{
    const struct row *row = *state;
    struct mys_facts facts = {.mariadb = row->mariadb};
    struct vars vars = {0};
    put(&vars, VAR_FORMAT, row->format);
    put(&vars, VAR_IMAGE, row->image);
    put(&vars, VAR_METADATA, row->metadata);
    read_row_settings(&vars, &facts);
    assert_int_equal(facts.row_format, row->row_format);
    assert_int_equal(facts.image, row->images);
    assert_int_equal(facts.metadata, row->names);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows)];
    CM_ROWS(tests, test_rows, rows);
    return cmocka_run_group_tests_name("mysql: server", tests, NULL, NULL);
}
