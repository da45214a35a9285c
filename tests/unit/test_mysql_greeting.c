/* test_mysql_greeting.c - what a server's first packet says of TLS, whole, cut short, and refused.
 */
#include "cm.h"

#include "../../connectors/mysql/mysql.h"

#include <stdio.h>
#include <stdlib.h>

#define HEX_MAX 256

static const struct greeting {
    const char *name, *hex;
    int rc;
    bool tls;
} greetings[] = {
    {"MySQL with TLS",
     "0a392e372e3400"
     "08000000"
     "0102030405060708"
     "00"
     "ffff"
     "ff"
     "0200"
     "ffdf"
     "15",
     CDC_OK, true},
    {"MySQL without",
     "0a392e372e3400"
     "08000000"
     "0102030405060708"
     "00"
     "fff7"
     "ff"
     "0200"
     "ffdf"
     "15",
     CDC_OK, false},
    {"MariaDB, no more than the low half",
     "0a352e352e352d31302e31312d4d61726961444200"
     "08000000"
     "0102030405060708"
     "00"
     "fef7",
     CDC_OK, false},
    {"another protocol",
     "09392e372e3400"
     "08000000"
     "0102030405060708"
     "00"
     "ffff",
     CDC_FAIL, false},
    {"too many connections",
     "ff1004"
     "546f6f206d616e79",
     CDC_FAIL, false},
    {"an error without text", "ff1004", CDC_FAIL, false},
    {"an error cut short", "ff10", CDC_FAIL, false},
    {"nothing", "", CDC_FAIL, false},
    {"an HTTP server", "485454502f312e3120343030", CDC_FAIL, false},
};

static size_t unhex(const char *hex, uint8_t *ret)
{
    size_t n = strlen(hex) / 2;
    assert_true(n <= HEX_MAX);
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        ret[i] = (uint8_t)byte;
    }
    return n;
}

static void test_greeting(void **state)
{
    const struct greeting *row = *state;
    struct cdc_error err = {.message = ""};
    uint8_t bytes[HEX_MAX];
    bool tls = false;
    size_t n = unhex(row->hex, bytes);
    assert_int_equal(mys_greeting_read(cdc_slice_of(bytes, n), &tls, &err), row->rc);
    assert_int_equal(tls, row->tls);
    if (row->rc == CDC_FAIL)
        assert_true(err.message[0]);
}

/* Each proper prefix: of a greeting up to its capabilities a failure, never a claim of TLS. */
static void test_prefixes(void **state)
{
    const struct greeting *row = &greetings[0];
    uint8_t bytes[HEX_MAX];
    size_t n = unhex(row->hex, bytes), whole = n - 6;
    (void)state;
    for (size_t i = 0; i < n; i++) {
        struct cdc_error err = {.message = ""};
        bool tls = false;
        uint8_t *exact = malloc(i + 1);
        memcpy(exact, bytes, i);
        int rc = mys_greeting_read(cdc_slice_of(exact, i), &tls, &err);
        assert_int_equal(rc, i < whole ? CDC_FAIL : CDC_OK);
        assert_int_equal(tls, i >= whole);
        free(exact);
    }
}

#define N(rows) (sizeof rows / sizeof rows[0])

int main(void)
{
    static struct CMUnitTest tests[N(greetings) + 1];
    size_t n = 0;
    for (size_t i = 0; i < N(greetings); i++)
        tests[n++] = (struct CMUnitTest){greetings[i].name, test_greeting, NULL, NULL,
                                         (void *)(uintptr_t)&greetings[i]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_prefixes);
    return _cmocka_run_group_tests("mysql_greeting", tests, n, NULL, NULL);
}
