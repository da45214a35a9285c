/* The tree: what of YAML is taken, what is refused and where; ${...}; secrets in no message. */
#include "cm.h"
#include "rows.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/node.h"

static char file_path[64] = "/tmp/test_config_yaml.XXXXXX";

/* The tree as text: {k@line:v ...} [v ...] "text"; * before a text out of ${...}. */
static void show(const struct cdc_node *node, struct cdc_buf *to)
{
    if (node->kind == CDC_NODE_SCALAR) {
        cdc_buf_printf(to, "%s%s", node->hidden ? "*" : "", node->empty ? "~" : "\"");
        if (!node->empty)
            cdc_buf_printf(to, "%s\"", node->text);
        return;
    }
    cdc_buf_str(to, node->kind == CDC_NODE_MAP ? "{" : "[");
    for (size_t i = 0; i < node->n; i++) {
        if (i)
            cdc_buf_str(to, " ");
        if (node->kind == CDC_NODE_MAP)
            cdc_buf_printf(to, "%s@%d:", node->entries[i].key, node->entries[i].line);
        show(node->entries[i].value, to);
    }
    cdc_buf_str(to, node->kind == CDC_NODE_MAP ? "}" : "]");
}

static const struct row {
    const char *name, *yaml, *tree, *error;
} rows[] = {
    {"mapping", "a: 1\nb: two\n", "{a@1:\"1\" b@2:\"two\"}", NULL},
    {"nested", "a:\n  b:\n    c: 1\n", "{a@1:{b@2:{c@3:\"1\"}}}", NULL},
    {"list", "- a\n- b\n- c\n- d\n- e\n", "[\"a\" \"b\" \"c\" \"d\" \"e\"]", NULL},
    {"flow", "{a: [1, 2], b: {}}", "{a@1:[\"1\" \"2\"] b@1:{}}", NULL},
    {"scalar", "abc", "\"abc\"", NULL},
    {"comments and blank lines", "# hello\n\na: 1 # one\n", "{a@3:\"1\"}", NULL},
    {"document marks", "---\na: 1\n...\n", "{a@2:\"1\"}", NULL},
    {"empty value", "a:\nb: ''\n", "{a@1:~ b@2:\"\"}", NULL},
    {"tab inside a value", "a: 'x\ty'\n", "{a@1:\"x\ty\"}", NULL},
    {"tab behind a colon", "a:\t1\n", "{a@1:\"1\"}", NULL},
    {"UTF-8", "a: \xc3\xa4\n", "{a@1:\"\xc3\xa4\"}", NULL},
    {"byte order mark",
     "\xef\xbb\xbf"
     "a: 1\n",
     "{a@1:\"1\"}", NULL},
    {"merge key is a plain name", "'<<': 1\n", "{<<@1:\"1\"}", NULL},
    {"sixteen deep", "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", "[[[[[[[[[[[[[[[[\"1\"]]]]]]]]]]]]]]]]",
     NULL},

    {"nothing", "", NULL, "f:1: the file is empty"},
    {"only comments", "# a\n# b\n", NULL, "f:1: the file is empty"},
    {"tab indents", "a:\n\tb: 1\n", NULL,
     "f:2: a tab in the indentation: YAML is indented with spaces only"},
    {"tab behind spaces", "a:\n  \tb: 1\n  c: 2\n", NULL,
     "f:2: a tab in the indentation: YAML is indented with spaces only"},
    {"key twice", "a: 1\nb: 2\na: 3\n", NULL, "f:3: \"a\" stands here a second time, after line 1"},
    {"key twice, inside", "x:\n  a: 1\n  'a': 3\n", NULL,
     "f:3: \"a\" stands here a second time, after line 2"},
    {"anchor", "a: 1\nb: &x 2\n", NULL,
     "f:2: anchors (&) and aliases (*) are not understood here: write the value out, in quotes if "
     "it begins with & or *"},
    {"anchor on a mapping", "a: &x\n  b: 1\n", NULL,
     "f:1: anchors (&) and aliases (*) are not understood here: write the value out, in quotes if "
     "it begins with & or *"},
    {"anchor on a list", "a: &x [1]\n", NULL,
     "f:1: anchors (&) and aliases (*) are not understood here: write the value out, in quotes if "
     "it begins with & or *"},
    {"anchor on a key", "&x a: 1\n", NULL,
     "f:1: anchors (&) and aliases (*) are not understood here: write the value out, in quotes if "
     "it begins with & or *"},
    {"alias", "a: 1\nb: *x\n", NULL,
     "f:2: anchors (&) and aliases (*) are not understood here: write the value out, in quotes if "
     "it begins with & or *"},
    {"tag", "a: !!int 1\n", NULL,
     "f:1: tags (!) are not understood here: write the value in quotes if it begins with !"},
    {"local tag", "a: !secret 1\n", NULL,
     "f:1: tags (!) are not understood here: write the value in quotes if it begins with !"},
    {"two documents", "a: 1\n---\nb: 2\n", NULL,
     "f:2: a second document begins here: one file holds one configuration"},
    {"mapping as key", "? {a: 1}\n: 2\n", NULL, "f:1: the key of a mapping must be a plain name"},
    {"empty key", "'': 2\n", NULL, "f:1: the key of a mapping must be a plain name"},
    {"NUL in a value", "a: \"x\\0y\"\n", NULL, "f:1: a value holds a NUL character"},
    {"NUL in a key", "\"x\\0y\": 1\n", NULL, "f:1: the key of a mapping must be a plain name"},
    {"seventeen deep", "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", NULL,
     "f:1: mappings and lists lie more than 16 deep inside each other"},
    {"at sign", "a: @b\n", NULL, "f:1: a value cannot begin with this character: put it in quotes"},
    {"bracket left open", "a: [1, 2\nb: 3\n", NULL,
     "f:2: not valid YAML: did not find expected ',' or ']' (while parsing a flow sequence that "
     "began in line 1)"},
    {"quote left open", "a: 1\nb: 'x\n", NULL,
     "f:3: not valid YAML: found unexpected end of stream (while scanning a quoted scalar that "
     "began in line 2)"},
    {"two colons", "a: b: c\n", NULL,
     "f:1: not valid YAML: mapping values are not allowed in this context"},
    {"wrong indentation", "a: 1\n  b: 2\n", NULL,
     "f:2: not valid YAML: mapping values are not allowed in this context"},
    {"not UTF-8", "a: \xff\xfe\n", NULL,
     "f:1: not a text in UTF-8: invalid leading UTF-8 octet at byte 3"},

    {"env", "a: x${env:T_WORD}y\n", "{a@1:*\"xhunter2y\"}", NULL},
    {"env twice", "a: ${env:T_WORD}${env:T_WORD}\n", "{a@1:*\"hunter2hunter2\"}", NULL},
    {"env set and empty", "a: ${env:T_EMPTY}\n", "{a@1:*\"\"}", NULL},
    {"env is not looked at again", "a: ${env:T_NESTED}\n", "{a@1:*\"${env:T_WORD}\"}", NULL},
    {"env cannot break the YAML", "a: ${env:T_LINES}\n", "{a@1:*\"x\n b: [\"}", NULL},
    {"file, newline cut", "a: ${file:@}\n", "{a@1:*\"file-secret\"}", NULL},
    {"escaped", "a: $${env:T_WORD}\n", "{a@1:\"${env:T_WORD}\"}", NULL},
    {"dollars", "a: $5 $$ $\n", "{a@1:\"$5 $$ $\"}", NULL},
    {"not in keys", "'${env:T_WORD}': 1\n", "{${env:T_WORD}@1:\"1\"}", NULL},
    {"env not set", "a: 1\nb: ${env:T_UNSET}\n", NULL,
     "f:2: the environment variable T_UNSET is not set: set it for this command, or use "
     "${file:/path}"},
    {"env without name", "a: ${env:}\n", NULL,
     "f:1: ${env:...} needs the name of an environment variable: letters, digits and _"},
    {"env with a default", "a: ${env:X:-y}\n", NULL,
     "f:1: ${env:...} needs the name of an environment variable: letters, digits and _"},
    {"env begins with a digit", "a: ${env:1X}\n", NULL,
     "f:1: ${env:...} needs the name of an environment variable: letters, digits and _"},
    {"file not there", "a: ${file:/nonexistent/x}\n", NULL,
     "f:1: ${file:/nonexistent/x} cannot be read: No such file or directory"},
    {"file is a folder", "a: ${file:/}\n", NULL, "f:1: ${file:/} cannot be read: Is a directory"},
    {"file too large", "a: ${file:/dev/zero}\n", NULL,
     "f:1: ${file:/dev/zero} cannot be read: larger than 64 KiB"},
    {"file without name", "a: ${file:}\n", NULL,
     "f:1: ${file:} cannot be read: No such file or directory"},
    {"shell style", "a: ${HOME}\n", NULL,
     "f:1: this ${...} is not understood: write ${env:NAME} or ${file:/path}, or $${ for a plain "
     "${"},
    {"not closed", "a: ${env:T_WORD\n", NULL, "f:1: a ${ without its }: write $${ for a plain ${"},
};

/* `@` in a row's ${file:@} is the test's own file. */
static void put_yaml(const char *yaml, struct cdc_buf *to)
{
    const char *at = strstr(yaml, "${file:@}");
    cdc_buf_put(to, yaml, at ? (size_t)(at - yaml) + 7 : strlen(yaml));
    if (at)
        cdc_buf_printf(to, "%s%s", file_path, at + 8);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    struct cdc_doc doc = {.arena = cdc_arena_new(1 << 20), .path = "f"};
    struct cdc_node *root;
    struct cdc_error err = {0};
    struct cdc_buf text = CDC_BUF(4096), yaml = CDC_BUF(4096);
    put_yaml(row->yaml, &yaml);
    int rc = cdc_node_parse(&doc, cdc_buf_slice(&yaml), &root, &err);
    if (rc == CDC_OK)
        show(root, &text);
    else
        cdc_buf_printf(&text, "%s: %s", err.where, err.message);
    assert_string_equal(cdc_buf_cstr(&text), row->tree ? row->tree : row->error);
    assert_int_equal(rc, row->tree ? CDC_OK : CDC_FAIL);
    if (rc != CDC_OK)
        assert_int_equal(err.action, CDC_CONFIG);
    cdc_buf_done(&text);
    cdc_buf_done(&yaml);
    cdc_arena_free(doc.arena);
}

static void test_many_entries(void **state)
{
    (void)state;
    struct cdc_doc doc = {.arena = cdc_arena_new(16 << 20), .path = "f"};
    struct cdc_node *root;
    struct cdc_error err = {0};
    struct cdc_buf yaml = CDC_BUF(1 << 20);
    for (int i = 0; i < CDC_NODE_ENTRIES; i++)
        cdc_buf_printf(&yaml, "k%d: %d\n", i, i);
    assert_int_equal(cdc_node_parse(&doc, cdc_buf_slice(&yaml), &root, &err), CDC_OK);
    assert_int_equal(root->n, CDC_NODE_ENTRIES);
    assert_string_equal(cdc_node_entry(root, "k4711")->value->text, "4711");
    cdc_buf_str(&yaml, "more: 1\n");
    assert_int_equal(cdc_node_parse(&doc, cdc_buf_slice(&yaml), &root, &err), CDC_FAIL);
    assert_string_equal(err.where, "f:10001");
    assert_string_equal(err.message, "more than 10000 entries in one mapping or list");
    cdc_buf_done(&yaml);
    cdc_arena_free(doc.arena);
}

/* A path longer than err->where loses its beginning; the line stays. */
static void test_long_path(void **state)
{
    (void)state;
    char path[400];
    memset(path, 'x', sizeof path);
    memcpy(path + sizeof path - 11, "/shop.yaml", 11);
    struct cdc_doc doc = {.arena = cdc_arena_new(1 << 20), .path = path};
    struct cdc_error err;
    assert_int_equal(cdc_doc_fail(&doc, 2147483647, &err, "x"), CDC_FAIL);
    assert_memory_equal(err.where, "...xxx", 6);
    assert_non_null(strstr(err.where, "/shop.yaml:2147483647"));
    cdc_arena_free(doc.arena);
}

static int setup(void **state)
{
    (void)state;
    static const char secret[] = "file-secret\n";
    int fd = mkstemp(file_path);
    if (fd < 0 || write(fd, secret, sizeof secret - 1) != sizeof secret - 1 || close(fd) != 0)
        return -1;
    unsetenv("T_UNSET");
    return setenv("T_WORD", "hunter2", 1) || setenv("T_EMPTY", "", 1) ||
           setenv("T_NESTED", "${env:T_WORD}", 1) || setenv("T_LINES", "x\n b: [", 1);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(file_path);
}

int main(void)
{
    struct CMUnitTest tests[CM_COUNT(rows) + 2];
    struct CMUnitTest *to = CM_ROWS(tests, test_row, rows);
    *to++ = (struct CMUnitTest)cmocka_unit_test(test_many_entries);
    *to = (struct CMUnitTest)cmocka_unit_test(test_long_path);
    return cmocka_run_group_tests_name("config_yaml", tests, setup, teardown);
}
