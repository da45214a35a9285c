/*
 * test_mysql_greeting.c - the first packet of a server: TLS or none, errors in its place, what is
 * no greeting, every prefix.
 */
#include <stdlib.h>

#include "../../connectors/mysql/mysql.h"
#include "rows.h"

#define REST "\x07\0\0\0abcdefgh\0" /* the connection's id, salt, filler */
#define MYSQL_9                                                                                    \
    "\x0a"                                                                                         \
    "9.7.4-2\0" REST
#define MARIADB_10                                                                                 \
    "\x0a"                                                                                         \
    "5.5.5-10.11.19-MariaDB-0+deb12u1-log\0" REST
#define BYTES(text)                                                                                \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

static const struct row {
    const char *name;
    struct cdc_slice packet;
    int rc;
    bool tls;
    enum cdc_action action; /* of a failure */
} rows[] = {
    {"MySQL with TLS", BYTES(MYSQL_9 "\xff\xff\xff\x02\0\xff\xdf"), CDC_OK, true, 0},
    {"MySQL without", BYTES(MYSQL_9 "\xff\xf7"), CDC_OK, false, 0},
    {"MariaDB with TLS", BYTES(MARIADB_10 "\xfe\xff"), CDC_OK, true, 0},
    {"MariaDB without", BYTES(MARIADB_10 "\xfe\xf7"), CDC_OK, false, 0},
    {"the one bit", BYTES(MYSQL_9 "\x00\x08"), CDC_OK, true, 0},
    {"no version", BYTES("\x0a\0" REST "\0\0"), CDC_OK, false, 0},
    {"too many connections", BYTES("\xff\x10\x04Too many connections"), CDC_FAIL, false, CDC_RETRY},
    {"blocked host", BYTES("\xff\x69\x04Host 'x' is blocked"), CDC_FAIL, false, CDC_RETRY},
    {"an error without text", BYTES("\xff\x10\x04"), CDC_FAIL, false, CDC_RETRY},
    {"another protocol",
     BYTES("\x09"
           "3.20\0" REST "\xff\xff"),
     CDC_FAIL, false, CDC_OPERATOR},
    {"SSH", BYTES("SSH-2.0-OpenSSH_9.2p1"), CDC_FAIL, false, CDC_OPERATOR},
};

static void test_read(void **state)
{
    const struct row *row = *state;
    struct cdc_error err = {0};
    bool tls = !row->tls;
    assert_int_equal(mys_greeting_read(row->packet, &tls, &err), row->rc);
    if (row->rc == CDC_OK) {
        assert_int_equal(tls, row->tls);
        return;
    }
    assert_int_equal(err.action, row->action);
    assert_int_not_equal(err.message[0], 0);
}

/* Cut off before its capabilities it is none; each in memory of its own size. */
static void test_prefixes(void **state)
{
    static const uint8_t whole[] = MARIADB_10 "\xfe\xff";
    (void)state;
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        struct cdc_error err = {0};
        bool tls;
        assert_non_null(copy);
        memcpy(copy, whole, n);
        assert_int_equal(mys_greeting_read(cdc_slice_of(copy, n), &tls, &err), CDC_FAIL);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest prefixes = cmocka_unit_test(test_prefixes);
    struct CMUnitTest tests[CM_COUNT(rows) + 1], *to = tests;
    to = CM_ROWS(to, test_read, rows);
    *to = prefixes;
    return cmocka_run_group_tests_name("mysql: greeting", tests, NULL, NULL);
}
