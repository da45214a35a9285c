/* names.c - see envelope/names.h. */
#include "envelope/names.h"

#include "avro/types.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

void cdc_avro_name(struct cdc_buf *buf, const char *name)
{
    if (!is_letter((uint8_t)name[0]) && ((name[0] >= '0' && name[0] <= '9') || !name[0]))
        cdc_buf_byte(buf, '_');
    for (const char *p = name; *p; p++) {
        uint8_t c = (uint8_t)*p;
        if (is_letter(c) || (c >= '0' && c <= '9'))
            cdc_buf_byte(buf, c);
        else if ((c & 0xc0) != 0x80) /* the first byte stands for the whole UTF-8 character */
            cdc_buf_byte(buf, '_');
    }
}

struct named {
    const char *avro, *source;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    return strcmp(x->avro, y->avro);
}

static int check_names(const struct cdc_table *tab, struct named *named, uint16_t n,
                       struct cdc_error *err)
{
    char place[128];
    snprintf(place, sizeof place, "%s.%s", tab->schema, tab->name);
    for (uint16_t i = 0; i < n; i++)
        if (cdc_meta_find(named[i].avro) != CDC_META_NONE)
            return cdc_fail(err, CDC_CONFIG, place,
                            "column \"%s\" of table %s would have the name of our own column %s: "
                            "rename it, or leave it out by `columns: {exclude: [...]}`",
                            named[i].source, place, named[i].avro);
    qsort(named, n, sizeof *named, by_name);
    for (uint16_t i = 1; i < n; i++)
        if (strcmp(named[i - 1].avro, named[i].avro) == 0)
            return cdc_fail(err, CDC_CONFIG, place,
                            "columns \"%s\" and \"%s\" of table %s both become %s in Avro: rename "
                            "one, or leave it out by `columns: {exclude: [...]}`",
                            named[i - 1].source, named[i].source, place, named[i].avro);
    return CDC_OK;
}

int cdc_avro_names(const struct cdc_table *tab, const struct cdc_row_shape *shape,
                   struct cdc_arena *arena, const char *const **ret, struct cdc_error *err)
{
    uint16_t n = 0;
    const char **names = cdc_arena_alloc(arena, (tab->n + 1u) * sizeof *names);
    struct named *named = cdc_arena_alloc(arena, (tab->n + 1u) * sizeof *named);
    struct cdc_buf buf = CDC_BUF(65536);
    int rc = names && named ? CDC_OK : cdc_fail_oom(err);
    for (uint16_t i = 0; rc == CDC_OK && i < tab->n; i++) {
        cdc_buf_reset(&buf);
        cdc_avro_name(&buf, tab->cols[i].name);
        const char *text = cdc_buf_cstr(&buf);
        names[i] = text ? cdc_arena_strdup(arena, text) : NULL;
        if (shape->cols[i].act != CDC_COLUMN_EXCLUDE)
            named[n++] = (struct named){.avro = names[i], .source = tab->cols[i].name};
        if (!names[i])
            rc = cdc_fail_oom(err);
    }
    cdc_buf_done(&buf);
    if (rc == CDC_OK)
        rc = check_names(tab, named, n, err);
    if (rc == CDC_OK)
        *ret = names;
    return rc;
}
