/* `init`: which source is asked, what is told of a URL, and files that are never overwritten. */
#include "cm.h"
#include "rows.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "config/settings.h"

#define SECRET "s3cr3t-of-the-url"

/* What a source would write, for the `example` source, which is part of every build. */
static const char proposal[] =
    "# Made by sidestream init. Nothing here was changed at the source.\n"
    "name: shop\n"
    "source:\n"
    "  type: example\n"
    "capture:\n"
    "  # 12 MB, 1000 rows, key: id\n"
    "  - tables: example.numbers\n"
    "    snapshot: never\n"
    "    # columns: {mask: [word]}   # looks like personal data\n"
    "sink:\n"
    "  type: lake\n"
    "  path: ./lake\n";

static int propose_shop(const char *url, struct cdc_buf *ret, struct cdc_error *err)
{
    (void)err;
    if (strncmp(url, "shop://", 7) != 0)
        return CDC_END;
    cdc_buf_str(ret, proposal);
    return CDC_OK;
}

/* Its own half of a text must not stay when it turns out to be none of its URLs. */
static int propose_messy(const char *url, struct cdc_buf *ret, struct cdc_error *err)
{
    (void)url;
    (void)err;
    cdc_buf_str(ret, "half a text");
    return CDC_END;
}

static int propose_broken(const char *url, struct cdc_buf *ret, struct cdc_error *err)
{
    (void)ret;
    if (strncmp(url, "broken://", 9) != 0)
        return CDC_END;
    return cdc_fail(err, CDC_RETRY, "db:5432", "connection refused");
}

static const struct cdc_source_ops silent = {.name = "silent"},
                                   messy = {.name = "messy", .propose = propose_messy},
                                   broken = {.name = "broken", .propose = propose_broken},
                                   shop = {.name = "shop", .propose = propose_shop};
static const struct cdc_source_ops *const all[] = {&silent, &messy, &broken, &shop, NULL};
static const struct cdc_source_ops *const nobody[] = {&silent, NULL};

static const struct row {
    const char *name;
    const struct cdc_source_ops *const *sources;
    const char *url, *error;
    enum cdc_action action;
} rows[] = {
    {"the last of them knows it", all, "shop://u:" SECRET "@h/db", NULL, CDC_RETRY},
    {"it fails", all, "broken://u:" SECRET "@h/db", "db:5432: connection refused", CDC_RETRY},
    {"nobody knows it", all, "mysql://u:" SECRET "@h/db",
     "init: no source knows URLs that begin with mysql://; those that can be looked at are: messy, "
     "broken, shop",
     CDC_CONFIG},
    {"nobody can", nobody, "shop://h/db",
     "init: no source knows URLs that begin with shop://; those that can be looked at are: none",
     CDC_CONFIG},
    {"no URL", all, SECRET, "init: a URL is wanted, like postgresql://user@host:5432/database",
     CDC_CONFIG},
    {"no scheme", all, "://" SECRET,
     "init: a URL is wanted, like postgresql://user@host:5432/database", CDC_CONFIG},
    {"a secret for a scheme", all, SECRET SECRET SECRET "://h",
     "init: a URL is wanted, like postgresql://user@host:5432/database", CDC_CONFIG},
    {"a password before the scheme", all, "u:" SECRET "@h://",
     "init: a URL is wanted, like postgresql://user@host:5432/database", CDC_CONFIG},
};

static void test_propose(void **state)
{
    const struct row *row = *state;
    struct cdc_buf text = CDC_BUF(1 << 20);
    struct cdc_error err = {0};
    char told[sizeof err.where + sizeof err.message + 2];
    int rc = cdc_init_propose(row->sources, row->url, &text, &err);
    if (row->error) {
        assert_int_equal(rc, CDC_FAIL);
        assert_int_equal(err.action, row->action);
        snprintf(told, sizeof told, "%s: %s", err.where, err.message);
        assert_string_equal(told, row->error);
    } else {
        assert_int_equal(rc, CDC_OK);
        assert_string_equal(cdc_buf_cstr(&text), proposal);
    }
    cdc_buf_done(&text);
}

/* What was proposed is a configuration. */
static void test_loads(void **state)
{
    (void)state;
    struct cdc_buf text = CDC_BUF(1 << 20);
    struct cdc_error err = {0};
    struct cdc_settings *set;
    assert_int_equal(cdc_init_propose(all, "shop://h/db", &text, &err), CDC_OK);
    if (cdc_settings_parse(cdc_buf_slice(&text), "shop.yaml", &set, &err) != CDC_OK)
        fail_msg("%s: %s", err.where, err.message);
    assert_string_equal(set->config.name, "shop");
    cdc_settings_free(set);
    cdc_buf_done(&text);
}

static void test_too_long(void **state)
{
    (void)state;
    struct cdc_buf text = CDC_BUF(256);
    struct cdc_error err = {0};
    assert_int_equal(cdc_init_propose(all, "shop://h/db", &text, &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_FATAL);
    cdc_buf_done(&text);
}

static char folder[] = "/tmp/sidestream-init-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void read_back(const char *path, char *to, size_t cap)
{
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    to[fread(to, 1, cap - 1, in)] = 0;
    fclose(in);
}

static void test_write(void **state)
{
    (void)state;
    struct cdc_error err = {0};
    char text[64];
    const char *path = path_of("a.yaml");
    assert_int_equal(cdc_init_write(path, cdc_slice_str("first"), &err), CDC_OK);
    read_back(path, text, sizeof text);
    assert_string_equal(text, "first");
    assert_int_equal(cdc_init_write(path, cdc_slice_str("second"), &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_CONFIG);
    assert_string_equal(err.where, path);
    assert_string_equal(err.message, "exists already and is not overwritten: name another file");
    read_back(path, text, sizeof text);
    assert_string_equal(text, "first");
    unlink(path);
}

/* A link to nothing is something that exists: what it points to is not made. */
static void test_write_link(void **state)
{
    (void)state;
    struct cdc_error err = {0};
    char target[128];
    snprintf(target, sizeof target, "%s/target", folder);
    assert_int_equal(symlink(target, path_of("link")), 0);
    assert_int_equal(cdc_init_write(path_of("link"), cdc_slice_str("x"), &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_CONFIG);
    assert_int_equal(access(target, F_OK), -1);
    unlink(path_of("link"));
}

static void test_write_nowhere(void **state)
{
    (void)state;
    struct cdc_error err = {0};
    assert_int_equal(cdc_init_write(path_of("no/such/folder"), cdc_slice_str("x"), &err), CDC_FAIL);
    assert_int_equal(err.action, CDC_CONFIG);
    assert_string_equal(err.message, "cannot be made: No such file or directory");
}

static int run_init(const char *a, const char *b, const char *c)
{
    char words[3][128];
    char *argv[] = {words[0], words[1], words[2], NULL, NULL};
    snprintf(words[0], sizeof words[0], "init");
    snprintf(words[1], sizeof words[1], "%s", a);
    snprintf(words[2], sizeof words[2], "%s", b);
    argv[3] = (char *)(uintptr_t)c;
    return cdc_cmd_init(b ? c ? 4 : 3 : 2, argv);
}

/* The command itself: an existing file is told before any database is asked. */
static void test_command(void **state)
{
    (void)state;
    struct cdc_error err = {0};
    const char *path = path_of("there.yaml");
    assert_int_equal(cdc_init_write(path, cdc_slice_str("mine"), &err), CDC_OK);
    assert_int_equal(run_init("nosuch://h/db", "--output", path), CDC_EXIT_USAGE);
    assert_int_equal(run_init("nosuch://h/db", "--output", path_of("new.yaml")), CDC_EXIT_USAGE);
    assert_int_equal(access(path_of("new.yaml"), F_OK), -1);
    unlink(path_of("there.yaml"));
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(folder); /* fails if a test left something */
}

int main(void)
{
    const struct CMUnitTest own[] = {
        cmocka_unit_test(test_loads),         cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_write),         cmocka_unit_test(test_write_link),
        cmocka_unit_test(test_write_nowhere), cmocka_unit_test(test_command),
    };
    struct CMUnitTest tests[CM_COUNT(rows) + CM_COUNT(own)];
    struct CMUnitTest *to = CM_ROWS(tests, test_propose, rows);
    memcpy(to, own, sizeof own);
    return cmocka_run_group_tests_name("cli_init", tests, setup, teardown);
}
