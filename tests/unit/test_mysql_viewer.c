/*
 * test_mysql_viewer.c - what a failed statement means for the look under which tables are read.
 */
#include "../../connectors/mysql/snap.h"
#include "cm.h"

#include <mariadb/errmsg.h>
#include <mariadb/mysqld_error.h>

static const struct row {
    const char *name;
    unsigned code;
    bool mariadb, side; /* side: on the connection that asks beside the look */
    bool in_the_way;
    int rc;
} rows[] = {
    {"no such table", 1146, true, false, false, CDC_AGAIN},
    {"a lock was not had in time", ER_LOCK_WAIT_TIMEOUT, true, false, false, CDC_AGAIN},
    {"the statement was ended", 1317, false, false, false, CDC_AGAIN},
    /* The transaction is gone, and the look with it: what is read next would be of another. */
    {"a deadlock, MariaDB", ER_LOCK_DEADLOCK, true, false, false, CDC_FAIL},
    {"a deadlock, MySQL: the savepoint tells", ER_LOCK_DEADLOCK, false, false, false, CDC_AGAIN},
    {"a deadlock of the other connection", ER_LOCK_DEADLOCK, true, true, false, CDC_AGAIN},
    {"in somebody's way, MariaDB", 1317, true, false, true, CDC_FAIL},
    {"in somebody's way, MySQL", 1317, false, false, true, CDC_AGAIN},
    {"the connection is gone", CR_SERVER_LOST, true, false, false, CDC_FAIL},
    {"no right", 1142, true, false, false, CDC_FAIL},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        struct mys_facts facts = {.mariadb = row->mariadb};
        struct mys_viewer ses = {.facts = &facts,
                                 .conn = mysql_init(NULL),
                                 .side = mysql_init(NULL),
                                 .in_the_way = row->in_the_way};
        struct cdc_error err = {.message = ""};
        MYSQL *conn = row->side ? ses.side : ses.conn;
        pthread_mutex_init(&ses.lock, NULL);
        conn->net.last_errno = row->code;
        int rc = mys_viewer_fail(&ses, conn, &err);
        if (rc != row->rc || !err.message[0])
            fail_msg("%s: %d (%s)", row->name, rc, err.message);
        pthread_mutex_destroy(&ses.lock);
        mysql_close(ses.conn);
        mysql_close(ses.side);
    }
}

/* ---- who waits for our tables, as SHOW PROCESSLIST tells it ---- */

#define LOCK "Waiting for table metadata lock"
#define TEN  "0123456789"
#define LONG TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct waits_row {
    const char *name, *state, *info;
    enum mys_waits waits;
} waits_rows[] = {
    {"an ALTER", LOCK, "ALTER TABLE shop.items ADD x INT", MYS_WAITS},
    {"the second table", LOCK, "drop table `Other`, `codes`", MYS_WAITS},
    {"in other letters", LOCK, "alter table ITEMS add x int", MYS_WAITS},
    {"of another table", LOCK, "ALTER TABLE shop.words ADD x INT", MYS_WAITS_NOT},
    {"somebody who reads", LOCK, "select * from items", MYS_WAITS_NOT},
    {"a flush", "Waiting for table flush", NULL, MYS_WAITS},
    {"another wait", "Waiting for global read lock", "ALTER TABLE items", MYS_WAITS_NOT},
    {"no state", NULL, "ALTER TABLE items", MYS_WAITS_NOT},
    {"no statement", LOCK, NULL, MYS_WAITS_NOT},
    {"named before the cut", LOCK, "RENAME TABLE items TO " LONG, MYS_WAITS},
    {"perhaps behind the cut", LOCK, "RENAME TABLE " LONG " TO", MYS_WAITS_PERHAPS},
    {"a character lost by the cut", LOCK, "/* " LONG " */", MYS_WAITS_PERHAPS},
};

static void test_waits(void **state)
{
    (void)state;
    const struct cdc_slice names = cdc_slice_of("items\0codes", 12);
    for (size_t i = 0; i < sizeof waits_rows / sizeof waits_rows[0]; i++) {
        const struct waits_row *row = &waits_rows[i];
        if (mys_process_waits(row->state, row->info, names) != row->waits)
            fail_msg("%s", row->name);
        enum mys_waits none = mys_process_waits(row->state, row->info, cdc_slice_of("", 0));
        assert_true(none != MYS_WAITS || strstr(row->state, "flush"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests_name("mysql viewer", tests, NULL, NULL);
}
