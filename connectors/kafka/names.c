/*
 * names.c - topic names: of a table by its rule or the template, of the control topic.
 *
 * Kafka takes [A-Za-z0-9._-], at most 249 bytes, and neither "." nor "..". Other bytes become `_`,
 * as Debezium does it; that two tables do not meet in one name by that is seen in topics.c.
 */
#include "kafka.h"

#include <ctype.h>

void kfk_control_name(const struct kfk_settings *set, struct cdc_buf *ret)
{
    cdc_buf_printf(ret, KFK_CONTROL_PREFIX "%s", set->name);
}

/* The part's value, or NULL: no such part. *ret_len: of "{part}" in the template. */
static const char *part(const struct kfk_settings *set, const char *at, size_t *ret_len,
                        const char *const values[2])
{
    static const char *const names[] = {"{schema}", "{table}", "{name}"};
    const char *const all[] = {values[0], values[1], set->name};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(at, names[i], strlen(names[i])) == 0) {
            *ret_len = strlen(names[i]);
            return all[i];
        }
    return NULL;
}

int kfk_template_check(const struct kfk_settings *set, struct cdc_error *err)
{
    static const char *const any[] = {"", ""};
    size_t len;
    for (const char *at = set->template; *at; at++)
        if (*at == '{' && !part(set, at, &len, any))
            return cdc_fail(err, CDC_CONFIG, cdc_option_where(set->cfg->sink, "topic"),
                            "topic: \"%s\" is none of {name}, {schema} and {table}", at);
    if (!*set->template)
        return cdc_fail(err, CDC_CONFIG, cdc_option_where(set->cfg->sink, "topic"),
                        "topic is empty: a template such as {name}.{schema}.{table} is expected");
    return CDC_OK;
}

void kfk_topic_raw(const struct kfk_settings *set, const char *schema, const char *table,
                   struct cdc_buf *ret)
{
    const char *const values[] = {schema, table};
    for (const char *at = set->template; *at;) {
        size_t len;
        const char *value = *at == '{' ? part(set, at, &len, values) : NULL;
        if (value)
            cdc_buf_str(ret, value);
        else
            cdc_buf_byte(ret, (uint8_t)*at);
        at += value ? len : 1;
    }
}

static bool allowed(uint8_t c)
{
    return (c < 128 && isalnum(c)) || c == '.' || c == '_' || c == '-';
}

int kfk_topic_name(const struct kfk_settings *set, const struct cdc_rule *rule, const char *schema,
                   const char *table, struct cdc_buf *ret, struct cdc_error *err)
{
    size_t start = ret->len;
    if (rule && rule->topic)
        cdc_buf_str(ret, rule->topic);
    else
        kfk_topic_raw(set, schema, table, ret);
    if (ret->failed)
        return cdc_fail_oom(err);
    for (size_t i = start; i < ret->len; i++)
        if (!allowed(ret->p[i]))
            ret->p[i] = '_';
    const struct cdc_slice name = {.p = ret->p ? ret->p + start : NULL, .len = ret->len - start};
    if (!ret->p || name.len == 0 || name.len > KFK_TOPIC_MAX ||
        cdc_slice_eq(name, cdc_slice_str(".")) || cdc_slice_eq(name, cdc_slice_str("..")))
        return cdc_fail(err, CDC_CONFIG, rule ? rule->where : "",
                        "table %s.%s: its topic's name has %zu bytes, Kafka takes 1 to %d and not "
                        "\".\" or \"..\": set `topic` in its capture rule",
                        schema, table, name.len, KFK_TOPIC_MAX);
    const struct cdc_slice prefix = cdc_slice_str(KFK_CONTROL_PREFIX);
    if (name.len > prefix.len && cdc_slice_eq(cdc_slice_of(name.p, prefix.len), prefix))
        return cdc_fail(err, CDC_CONFIG, rule ? rule->where : "",
                        "table %s.%s: topics that begin with %s are for checkpoints: set another "
                        "`topic`",
                        schema, table, KFK_CONTROL_PREFIX);
    return CDC_OK;
}
