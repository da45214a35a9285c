/*
 * position.c - positions as text, both ways; places, xids, and GTIDs of either server.
 *
 * The text comes back from the sink, and a damaged one must be refused, not read as some other
 * place. So parsing is strict in the simplest way: what was read is printed again, and must be the
 * same text. That leaves no room for other orders of members, unknown or missing ones, other
 * spellings of numbers or GTIDs.
 */
#include "position.h"

#include "cdc/json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX ((size_t)16 << 20)
#define XID_TEXT 320

/* ---- GTIDs ---- */

void mys_gtids_done(struct mys_gtids *gtids)
{
    mys_set_done(&gtids->set);
    mys_list_done(&gtids->list);
    gtids->mariadb = false;
}

int mys_gtids_copy(const struct mys_gtids *from, struct mys_gtids *ret)
{
    ret->mariadb = from->mariadb;
    int rc = from->mariadb ? mys_list_union(&ret->list, &from->list)
                           : mys_set_union(&ret->set, &from->set);
    if (rc < 0)
        mys_gtids_done(ret);
    return rc;
}

int mys_gtids_add(struct mys_gtids *gtids, const struct mys_gtid *gtid)
{
    return gtids->mariadb ? mys_list_add(&gtids->list, gtid) : mys_set_add(&gtids->set, gtid);
}

bool mys_gtids_contain(const struct mys_gtids *gtids, const struct mys_gtid *gtid)
{
    return gtids->mariadb ? mys_list_contains(&gtids->list, gtid)
                          : mys_set_contains(&gtids->set, gtid);
}

bool mys_gtids_subset(const struct mys_gtids *part, const struct mys_gtids *whole)
{
    return part->mariadb ? mys_list_subset(&part->list, &whole->list)
                         : mys_set_subset(&part->set, &whole->set);
}

bool mys_gtids_empty(const struct mys_gtids *gtids)
{
    return gtids->mariadb ? gtids->list.n == 0 : gtids->set.n == 0;
}

int mys_gtids_parse(bool mariadb, struct cdc_slice text, struct mys_gtids *ret,
                    struct cdc_error *err)
{
    ret->mariadb = mariadb;
    return mariadb ? mys_list_parse(text, &ret->list, err) : mys_set_parse(text, &ret->set, err);
}

void mys_gtids_print(const struct mys_gtids *gtids, struct cdc_buf *buf)
{
    if (gtids->mariadb)
        mys_list_print(&gtids->list, buf);
    else
        mys_set_print(&gtids->set, buf);
}

/* Does it print as that text? A set's grammar allows more than one spelling of one GTID. */
static bool prints_as(const struct mys_gtid *gtid, struct cdc_slice text)
{
    struct cdc_buf buf = CDC_BUF(MYS_ID_MAX);
    mys_gtid_print(gtid, &buf);
    bool same = !buf.failed && cdc_slice_eq(cdc_buf_slice(&buf), text);
    cdc_buf_done(&buf);
    return same;
}

static int only_of_set(const struct mys_set *set, struct mys_gtid *ret)
{
    if (set->n != 1 || set->sids[0].n != 1 || set->sids[0].ranges[0].to - 1 < 1)
        return CDC_FAIL;
    memset(ret, 0, sizeof *ret);
    memcpy(ret->uuid, set->sids[0].uuid, sizeof ret->uuid);
    memcpy(ret->tag, set->sids[0].tag, sizeof ret->tag);
    ret->number = set->sids[0].ranges[0].from;
    return CDC_OK;
}

int mys_gtid_parse(struct cdc_slice text, struct mys_gtid *ret)
{
    struct mys_gtid gtid;
    struct mys_gtids all = {.mariadb = !text.len || !memchr(text.p, ':', text.len)};
    int rc = mys_gtids_parse(all.mariadb, text, &all, NULL);
    if (rc == CDC_OK && !all.mariadb)
        rc = only_of_set(&all.set, &gtid);
    else if (rc == CDC_OK && all.list.n == 1)
        gtid = all.list.at[0];
    else
        rc = CDC_FAIL;
    mys_gtids_done(&all);
    if (rc < 0 || !prints_as(&gtid, text))
        return CDC_FAIL;
    *ret = gtid;
    return CDC_OK;
}

/* ---- xids ---- */

static void put_hex(struct cdc_buf *buf, const uint8_t *p, size_t n)
{
    cdc_buf_str(buf, "X'");
    for (size_t i = 0; i < n; i++)
        cdc_buf_printf(buf, "%02x", p[i]);
    cdc_buf_byte(buf, '\'');
}

void mys_xid_print(const struct mys_xid *xid, struct cdc_buf *buf)
{
    put_hex(buf, xid->data, xid->gtrid_len);
    cdc_buf_byte(buf, ',');
    put_hex(buf, xid->data + xid->gtrid_len, xid->bqual_len);
    cdc_buf_printf(buf, ",%" PRIu32, xid->format);
}

bool mys_xid_eq(const struct mys_xid *a, const struct mys_xid *b)
{
    return a->format == b->format && a->gtrid_len == b->gtrid_len && a->bqual_len == b->bqual_len &&
           memcmp(a->data, b->data, (size_t)a->gtrid_len + b->bqual_len) == 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* X'..', at most 64 bytes. Returns what follows, or NULL. */
static const char *scan_hex(const char *at, uint8_t *to, uint8_t *ret_len)
{
    uint8_t n = 0;
    if (strncmp(at, "X'", 2) != 0)
        return NULL;
    for (at += 2; *at != '\''; at += 2) {
        int high = hex_digit(at[0]), low = high < 0 ? -1 : hex_digit(at[1]);
        if (low < 0 || n == 64)
            return NULL;
        to[n++] = (uint8_t)(high << 4 | low);
    }
    *ret_len = n;
    return at + 1;
}

/* Only what print writes: the caller prints the whole position again. */
static int scan_xid(const char *text, struct mys_xid *ret)
{
    memset(ret, 0, sizeof *ret);
    const char *at = scan_hex(text, ret->data, &ret->gtrid_len);
    if (!at || *at != ',')
        return CDC_FAIL;
    at = scan_hex(at + 1, ret->data + ret->gtrid_len, &ret->bqual_len);
    if (!at || *at != ',' || !at[1])
        return CDC_FAIL;
    char *end;
    unsigned long long format = strtoull(at + 1, &end, 10);
    if (*end || format > UINT32_MAX)
        return CDC_FAIL;
    ret->format = (uint32_t)format;
    return CDC_OK;
}

/* ---- life ---- */

void mys_pos_done(struct mys_pos *pos)
{
    mys_gtids_done(&pos->gtids);
    while (pos->prepared) {
        struct mys_prepared *next = pos->prepared->next;
        free(pos->prepared);
        pos->prepared = next;
    }
    memset(pos, 0, sizeof *pos);
}

int mys_pos_copy(const struct mys_pos *from, struct mys_pos *ret)
{
    struct mys_prepared **end = &ret->prepared;
    *ret = *from;
    ret->gtids = (struct mys_gtids){0};
    ret->prepared = NULL;
    int rc = mys_gtids_copy(&from->gtids, &ret->gtids);
    for (const struct mys_prepared *prep = from->prepared; rc == CDC_OK && prep;
         prep = prep->next) {
        *end = malloc(sizeof **end);
        if (!*end) {
            rc = CDC_FAIL;
            break;
        }
        **end = *prep;
        (*end)->next = NULL;
        end = &(*end)->next;
    }
    if (rc < 0)
        mys_pos_done(ret);
    return rc;
}

/* ---- print ---- */

static void put_string(struct cdc_buf *buf, const char *name, const char *text)
{
    cdc_buf_printf(buf, "\"%s\":", name);
    cdc_json_string(buf, cdc_slice_str(text));
}

static void put_at(struct cdc_buf *buf, const char *name, const struct mys_at *at)
{
    cdc_buf_printf(buf, ",\"%s\":{", name);
    put_string(buf, "file", at->file);
    cdc_buf_printf(buf, ",\"pos\":%" PRIu64 ",", at->pos);
    put_string(buf, "id", at->id);
    cdc_buf_printf(buf, ",\"us\":%" PRId64 "}", at->us);
}

static void put_gtids(struct cdc_buf *buf, const struct mys_pos *pos)
{
    cdc_buf_str(buf, pos->by_file ? ",\"gtids\":null" : ",\"gtids\":\"");
    if (pos->by_file)
        return;
    mys_gtids_print(&pos->gtids, buf); /* of letters, digits and -:, alone */
    cdc_buf_byte(buf, '"');
}

static void put_prepared(struct cdc_buf *buf, const struct mys_prepared *prep)
{
    cdc_buf_str(buf, "{\"xid\":\"");
    mys_xid_print(&prep->xid, buf);
    cdc_buf_str(buf, "\",");
    put_string(buf, "file", prep->at.file);
    cdc_buf_printf(buf, ",\"pos\":%" PRIu64 ",", prep->at.pos);
    put_string(buf, "gtid", prep->at.id);
    cdc_buf_byte(buf, '}');
}

void mys_pos_print(const struct mys_pos *pos, struct cdc_buf *buf)
{
    cdc_buf_str(buf, pos->kind == MYS_POS_CUT ? "{\"kind\":\"cut\"," : "{\"kind\":\"tx\",");
    put_string(buf, "file", pos->file);
    cdc_buf_printf(buf, ",\"pos\":%" PRIu64, pos->pos);
    put_gtids(buf, pos);
    if (pos->last.file[0])
        put_at(buf, "last", &pos->last);
    for (const struct mys_prepared *prep = pos->prepared; prep; prep = prep->next) {
        cdc_buf_str(buf, prep == pos->prepared ? ",\"xa\":[" : ",");
        put_prepared(buf, prep);
    }
    cdc_buf_str(buf, pos->prepared ? "]" : "");
    if (pos->kind == MYS_POS_CUT) {
        put_at(buf, "tx", &pos->tx);
        cdc_buf_printf(buf, ",\"n\":%" PRIu64 ",\"crc\":\"%08" PRIx32 "\"", pos->n, pos->crc);
    }
    cdc_buf_byte(buf, '}');
}

/* ---- parse ---- */

static int take_string(const json_t *json, const char *name, char *to, size_t size)
{
    const json_t *val = json_object_get(json, name);
    const char *text = json_string_value(val);
    if (!text || json_string_length(val) >= size)
        return CDC_FAIL;
    memcpy(to, text, json_string_length(val) + 1);
    return CDC_OK;
}

static int take_number(const json_t *json, const char *name, uint64_t *ret)
{
    const json_t *val = json_object_get(json, name);
    if (!json_is_integer(val) || json_integer_value(val) < 0)
        return CDC_FAIL;
    *ret = (uint64_t)json_integer_value(val);
    return CDC_OK;
}

/* A GTID of that family, or "". */
static bool id_fits(bool mariadb, const char *id)
{
    struct mys_gtid gtid = {.mariadb = mariadb};
    return !*id || (mys_gtid_parse(cdc_slice_str(id), &gtid) == CDC_OK && gtid.mariadb == mariadb);
}

static int take_at(bool mariadb, const json_t *json, const char *name, struct mys_at *ret)
{
    const json_t *obj = json_object_get(json, name);
    const json_t *us = json_object_get(obj, "us");
    if (!json_is_integer(us) || take_string(obj, "file", ret->file, sizeof ret->file) < 0 ||
        take_number(obj, "pos", &ret->pos) < 0 ||
        take_string(obj, "id", ret->id, sizeof ret->id) < 0 || !id_fits(mariadb, ret->id))
        return CDC_FAIL;
    ret->us = json_integer_value(us);
    return ret->file[0] ? CDC_OK : CDC_FAIL;
}

static int take_gtids(bool mariadb, const json_t *json, struct mys_pos *pos)
{
    const json_t *val = json_object_get(json, "gtids");
    pos->by_file = json_is_null(val);
    pos->gtids.mariadb = mariadb;
    if (pos->by_file)
        return mariadb ? CDC_FAIL : CDC_OK;
    const char *text = json_string_value(val);
    return text ? mys_gtids_parse(mariadb, cdc_slice_str(text), &pos->gtids, NULL) : CDC_FAIL;
}

static int take_prepared(bool mariadb, const json_t *json, struct mys_pos *pos)
{
    size_t i;
    const json_t *item, *list = json_object_get(json, "xa");
    struct mys_prepared **end = &pos->prepared;
    json_array_foreach(list, i, item)
    {
        char xid[XID_TEXT];
        struct mys_prepared *prep = *end = calloc(1, sizeof *prep);
        if (!prep || take_string(item, "xid", xid, sizeof xid) < 0 ||
            scan_xid(xid, &prep->xid) < 0 ||
            take_string(item, "file", prep->at.file, sizeof prep->at.file) < 0 ||
            take_number(item, "pos", &prep->at.pos) < 0 ||
            take_string(item, "gtid", prep->at.id, sizeof prep->at.id) < 0 ||
            !id_fits(mariadb, prep->at.id) || (!prep->at.file[0] && !prep->at.id[0]))
            return CDC_FAIL;
        end = &prep->next;
    }
    return CDC_OK;
}

static int take_cut(bool mariadb, const json_t *json, struct mys_pos *pos)
{
    char crc[9];
    if (take_at(mariadb, json, "tx", &pos->tx) < 0 || take_number(json, "n", &pos->n) < 0 ||
        take_string(json, "crc", crc, sizeof crc) < 0)
        return CDC_FAIL;
    pos->crc = (uint32_t)strtoul(crc, NULL, 16);
    return CDC_OK;
}

static int take_all(bool mariadb, const json_t *json, struct mys_pos *pos)
{
    const char *kind = json_string_value(json_object_get(json, "kind"));
    bool cut = kind && strcmp(kind, "cut") == 0;
    if (!kind || (!cut && strcmp(kind, "tx") != 0))
        return CDC_FAIL;
    pos->kind = cut ? MYS_POS_CUT : MYS_POS_TX;
    if (take_string(json, "file", pos->file, sizeof pos->file) < 0 || !pos->file[0] ||
        take_number(json, "pos", &pos->pos) < 0 || take_gtids(mariadb, json, pos) < 0 ||
        take_prepared(mariadb, json, pos) < 0)
        return CDC_FAIL;
    if (json_object_get(json, "last") && take_at(mariadb, json, "last", &pos->last) < 0)
        return CDC_FAIL;
    return cut ? take_cut(mariadb, json, pos) : CDC_OK;
}

static bool pos_prints_as(const struct mys_pos *pos, struct cdc_slice text)
{
    struct cdc_buf buf = CDC_BUF(TEXT_MAX);
    mys_pos_print(pos, &buf);
    bool same = !buf.failed && cdc_slice_eq(cdc_buf_slice(&buf), text);
    cdc_buf_done(&buf);
    return same;
}

int mys_pos_parse(bool mariadb, struct cdc_slice text, struct mys_pos *ret)
{
    json_t *json = text.p ? json_loadb((const char *)text.p, text.len, 0, NULL) : NULL;
    int rc = json ? take_all(mariadb, json, ret) : CDC_FAIL;
    json_decref(json);
    if (rc == CDC_OK && !pos_prints_as(ret, text))
        rc = CDC_FAIL;
    if (rc < 0)
        mys_pos_done(ret);
    return rc;
}

/* ---- places ---- */

/* The number behind the last dot. CDC_FAIL: there is none, or it is too large. */
static int file_number(const char *file, uint32_t *ret)
{
    const char *dot = strrchr(file, '.');
    uint64_t val = 0;
    if (!dot || !dot[1])
        return CDC_FAIL;
    for (const char *at = dot + 1; *at; at++) {
        if (*at < '0' || *at > '9' || val > UINT32_MAX)
            return CDC_FAIL;
        val = val * 10 + (uint64_t)(*at - '0');
    }
    *ret = (uint32_t)val;
    return val > UINT32_MAX ? CDC_FAIL : CDC_OK;
}

/* Once for every transaction, so without printf. */
static void hex(char *to, unsigned digits, uint64_t val)
{
    for (unsigned i = digits; i > 0; i--, val >>= 4)
        to[i - 1] = "0123456789abcdef"[val & 15];
}

int mys_place(const char *file, uint64_t pos, char ret[CDC_PLACE_LEN + 1])
{
    uint32_t number;
    if (file_number(file, &number) < 0)
        return CDC_FAIL;
    hex(ret, 8, number);
    hex(ret + 8, 16, pos);
    ret[CDC_PLACE_LEN] = 0;
    return CDC_OK;
}

int mys_at_order(const char *file_a, uint64_t pos_a, const char *file_b, uint64_t pos_b)
{
    uint32_t a, b;
    int rc = strcmp(file_a, file_b);
    if (rc != 0 && file_number(file_a, &a) == CDC_OK && file_number(file_b, &b) == CDC_OK)
        rc = (a > b) - (a < b); /* bin.1000000 comes behind bin.999999 */
    return rc ? rc : (pos_a > pos_b) - (pos_a < pos_b);
}
