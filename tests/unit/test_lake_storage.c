/*
 * test_lake_storage.c - the local folder: create-only, what is fsynced when, and errno to action.
 *
 * fsync, link and write of libc are replaced by ones that count and fail by script.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../connectors/lake/lake.h"
#include "rows.h"

static int fail_fsync, fail_link, fail_write; /* errno to fail with; 0: do it */
static int n_file_syncs, n_dir_syncs;

int fsync(int fd)
{
    static int (*real)(int);
    struct stat sb;
    if (!real)
        real = (int (*)(int))(uintptr_t)dlsym(RTLD_NEXT, "fsync");
    if (fstat(fd, &sb) == 0 && S_ISDIR(sb.st_mode))
        n_dir_syncs++;
    else
        n_file_syncs++;
    errno = fail_fsync;
    return fail_fsync ? -1 : real(fd);
}

int link(const char *from, const char *to)
{
    errno = fail_link;
    return fail_link ? -1 : linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

ssize_t write(int fd, const void *p, size_t n)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (!real)
        real = (ssize_t(*)(int, const void *, size_t))(uintptr_t)dlsym(RTLD_NEXT, "write");
    errno = fail_write;
    return fail_write && fd > 2 ? -1 : real(fd, p, n);
}

struct place {
    char root[32], lake[64];
    struct lake_store *st;
    struct cdc_error err;
};

static void begin(struct place *at)
{
    *at = (struct place){.root = "/tmp/lakest.XXXXXX"};
    assert_non_null(mkdtemp(at->root));
    snprintf(at->lake, sizeof at->lake, "%s/a/b", at->root);
    assert_int_equal(lake_local_open(at->lake, true, &at->st, &at->err), CDC_OK);
    fail_fsync = fail_link = fail_write = n_file_syncs = n_dir_syncs = 0;
}

static void end(struct place *at)
{
    char command[64];
    fail_fsync = fail_link = fail_write = 0;
    at->st->ops->close(at->st);
    snprintf(command, sizeof command, "rm -rf %s", at->root);
    assert_int_equal(system(command), 0);
}

static int put(struct place *at, const char *path, const char *text)
{
    return at->st->ops->put(at->st, path, cdc_slice_str(text), LAKE_CREATE, &at->err);
}

static void assert_holds(struct place *at, const char *path, const char *expect)
{
    struct cdc_buf buf = CDC_BUF(1 << 20);
    assert_int_equal(lake_load(at->st, path, &buf, &at->err), expect ? CDC_OK : CDC_END);
    if (expect)
        assert_string_equal(cdc_buf_cstr(&buf), expect);
    cdc_buf_done(&buf);
}

static int count(struct place *at, const char *what)
{
    char command[128];
    int n = -1;
    snprintf(command, sizeof command, "find %s %s | wc -l", at->root, what);
    FILE *pipe = popen(command, "r");
    assert_int_equal(fscanf(pipe, "%d", &n), 1);
    pclose(pipe);
    return n;
}

static void test_create_is_once(void **state)
{
    (void)state;
    struct place at;
    begin(&at);
    assert_int_equal(count(&at, "-type d -name b"), 0); /* open touches nothing */
    assert_int_equal(put(&at, "_cdc/x/one", "first"), CDC_OK);
    assert_int_equal(put(&at, "_cdc/x/one", "second"), LAKE_EXISTS);
    assert_holds(&at, "_cdc/x/one", "first");
    assert_holds(&at, "_cdc/x/two", NULL);
    assert_int_equal(count(&at, "-name '*.tmp'"), 0);
    end(&at);
}

/* One fsync of the file and one of its folder; new folders are fsynced into theirs. */
static void test_create_is_durable(void **state)
{
    (void)state;
    struct place at;
    begin(&at);
    assert_int_equal(put(&at, "x/one", "1"), CDC_OK);
    assert_int_equal(n_file_syncs, 1);
    assert_true(n_dir_syncs >= 5); /* a, b, x, _cdc, tmp into their parents, one into x */
    n_file_syncs = n_dir_syncs = 0;
    assert_int_equal(put(&at, "x/two", "2"), CDC_OK);
    assert_int_equal(n_file_syncs, 1);
    assert_int_equal(n_dir_syncs, 1);
    n_dir_syncs = 0;
    assert_int_equal(put(&at, "x/two", "3"), LAKE_EXISTS); /* perhaps not durable by its maker */
    assert_int_equal(n_dir_syncs, 1);
    end(&at);
}

/* A folder that a killed process made: this process does not know if it is durable. */
static void test_folders_found_are_synced_once(void **state)
{
    (void)state;
    struct place at;
    begin(&at);
    assert_int_equal(put(&at, "x/one", "1"), CDC_OK);
    at.st->ops->close(at.st);
    assert_int_equal(lake_local_open(at.lake, true, &at.st, &at.err), CDC_OK);
    n_dir_syncs = 0;
    assert_int_equal(put(&at, "x/two", "2"), CDC_OK);
    assert_int_equal(n_dir_syncs, 4); /* x and _cdc into the root, tmp into _cdc, two into x */
    end(&at);
}

static void test_replace(void **state)
{
    (void)state;
    struct place at;
    begin(&at);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            at.st->ops->put(at.st, "hint", cdc_slice_str(i ? "b" : "a"), LAKE_REPLACE, &at.err),
            CDC_OK);
    assert_holds(&at, "hint", "b");
    end(&at);
}

static void stage(struct place *at, const char *path, struct lake_staged **ret)
{
    assert_int_equal(at->st->ops->stage(at->st, path, ret, &at->err), CDC_OK);
    assert_int_equal((*ret)->ops->append(*ret, "abc", 3, &at->err), CDC_OK);
    assert_int_equal((*ret)->ops->append(*ret, "def", 3, &at->err), CDC_OK);
}

static void test_staged(void **state)
{
    (void)state;
    struct place at;
    struct lake_staged *files[3];
    begin(&at);
    stage(&at, "log/t/one", &files[0]);
    stage(&at, "log/t/two", &files[1]);
    stage(&at, "log/u/three", &files[2]);
    assert_int_equal(count(&at, "-name '.*.tmp'"), 3);
    assert_holds(&at, "log/t/one", NULL);
    n_file_syncs = n_dir_syncs = 0;
    assert_int_equal(at.st->ops->publish(at.st, files, 3, &at.err), CDC_OK);
    assert_int_equal(n_file_syncs, 3);
    assert_int_equal(n_dir_syncs, 2); /* each folder once */
    for (int i = 0; i < 3; i++)
        files[i]->ops->release(files[i]);
    assert_holds(&at, "log/t/two", "abcdef");
    assert_holds(&at, "log/u/three", "abcdef");
    assert_int_equal(count(&at, "-name '*.tmp'"), 0);
    stage(&at, "log/t/four", &files[0]);
    files[0]->ops->release(files[0]); /* not published: it vanishes */
    assert_int_equal(count(&at, "-name '*four*'"), 0);
    end(&at);
}

static const struct fault_row {
    const char *name;
    int fsync, link, write;
    enum cdc_action action;
} fault_rows[] = {
    {"write ENOSPC", 0, 0, ENOSPC, CDC_RETRY},   {"write EDQUOT", 0, 0, EDQUOT, CDC_RETRY},
    {"write EIO", 0, 0, EIO, CDC_FATAL},         {"link ENOSPC", 0, ENOSPC, 0, CDC_RETRY},
    {"link EACCES", 0, EACCES, 0, CDC_OPERATOR}, {"link EROFS", 0, EROFS, 0, CDC_OPERATOR},
    {"fsync EIO", EIO, 0, 0, CDC_FATAL},         {"fsync ENOSPC", ENOSPC, 0, 0, CDC_FATAL},
};

static void arm(const struct fault_row *row)
{
    fail_fsync = row->fsync;
    fail_link = row->link;
    fail_write = row->write;
}

static void test_fault(void **state)
{
    const struct fault_row *row = *state;
    struct place at;
    struct lake_staged *file;
    begin(&at);
    assert_int_equal(put(&at, "x/one", "1"), CDC_OK); /* the folders are there */
    arm(row);
    assert_int_equal(put(&at, "x/two", "2"), CDC_FAIL);
    assert_int_equal(at.err.action, row->action);
    assert_true(strlen(at.err.where) > 0);
    arm(&(struct fault_row){0});
    assert_int_equal(count(&at, "-name '*.tmp'"), 0);
    assert_holds(&at, "x/two", NULL);

    assert_int_equal(at.st->ops->stage(at.st, "log/t/f", &file, &at.err), CDC_OK);
    arm(row);
    int rc = file->ops->append(file, "abc", 3, &at.err);
    if (rc == CDC_OK)
        rc = at.st->ops->publish(at.st, &file, 1, &at.err);
    assert_int_equal(rc, CDC_FAIL);
    assert_int_equal(at.err.action, row->action);
    arm(&(struct fault_row){0});
    file->ops->release(file);
    assert_int_equal(count(&at, "-path '*log/t/*'"), 0);
    end(&at);
}

/* exFAT and the like: no hard links. */
static void test_without_hard_links(void **state)
{
    (void)state;
    struct place at;
    struct lake_staged *file;
    begin(&at);
    fail_link = EPERM;
    assert_int_equal(put(&at, "x/one", "1"), CDC_OK);
    assert_int_equal(put(&at, "x/one", "2"), LAKE_EXISTS);
    assert_holds(&at, "x/one", "1");
    stage(&at, "log/t/f", &file);
    assert_int_equal(at.st->ops->publish(at.st, &file, 1, &at.err), CDC_OK);
    file->ops->release(file);
    assert_holds(&at, "log/t/f", "abcdef");
    assert_int_equal(count(&at, "-name '*.tmp'"), 0);
    end(&at);
}

static void test_without_fsync(void **state)
{
    (void)state;
    struct place at;
    begin(&at);
    at.st->ops->close(at.st);
    assert_int_equal(lake_local_open(at.lake, false, &at.st, &at.err), CDC_OK);
    assert_int_equal(put(&at, "x/one", "1"), CDC_OK);
    assert_int_equal(n_file_syncs + n_dir_syncs, 0);
    end(&at);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(fault_rows) + 7];
    const struct CMUnitTest fixed[] = {
        cmocka_unit_test(test_create_is_once),
        cmocka_unit_test(test_create_is_durable),
        cmocka_unit_test(test_folders_found_are_synced_once),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_staged),
        cmocka_unit_test(test_without_hard_links),
        cmocka_unit_test(test_without_fsync),
    };
    struct CMUnitTest *to = CM_ROWS(tests, test_fault, fault_rows);
    memcpy(to, fixed, sizeof fixed);
    return cmocka_run_group_tests_name("lake local storage", tests, NULL, NULL);
}
