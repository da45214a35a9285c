/*
 * names.c - the lake's names: paths, dates, hashes. Pure functions.
 *
 * A table's folder is `<schema>.<table>`, each with the bytes outside [A-Za-z0-9_.-] as %XX (upper
 * case). A dot inside the schema's name is escaped too, so that the first dot is always the one
 * between the two and no two tables share a folder. A name that gets longer than 200 bytes
 * (Cyrillic triples in length) is cut and ends in `~` and 16 digits of the SHA-256 of the whole;
 * `~` is never produced by the escapes, so this cannot meet another table's name either.
 */
#include "lake.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DIR_MAX 200

void lake_commit_path(uint64_t seq, char ret[LAKE_PATH_MAX])
{
    snprintf(ret, LAKE_PATH_MAX, "_cdc/commits/%020" PRIu64 ".json", seq);
}

void lake_owner_path(uint32_t epoch, char ret[LAKE_PATH_MAX])
{
    snprintf(ret, LAKE_PATH_MAX, LAKE_OWNERS "/%010" PRIu32 ".json", epoch);
}

void lake_point_path(uint64_t seq, char ret[LAKE_PATH_MAX])
{
    snprintf(ret, LAKE_PATH_MAX, LAKE_POINTS "/%020" PRIu64 ".json", seq);
}

void lake_schema_path(const char *sha256_hex, char ret[LAKE_PATH_MAX])
{
    snprintf(ret, LAKE_PATH_MAX, "_cdc/schemas/%s.avsc", sha256_hex);
}

static bool plain(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

static void escape(struct cdc_buf *buf, const char *name, bool dots)
{
    for (const uint8_t *p = (const uint8_t *)name; *p; p++) {
        if (plain(*p) && !(dots && *p == '.'))
            cdc_buf_byte(buf, *p);
        else
            cdc_buf_printf(buf, "%%%02X", *p);
    }
}

void lake_table_dir(const char *schema, const char *table, char ret[LAKE_PATH_MAX])
{
    struct cdc_buf buf = CDC_BUF((size_t)1 << 20);
    escape(&buf, schema, true);
    cdc_buf_byte(&buf, '.');
    escape(&buf, table, !*schema); /* without a schema: never "." or ".." */
    const char *text = cdc_buf_cstr(&buf);
    size_t len = text ? buf.len : 0;
    if (len <= DIR_MAX) {
        snprintf(ret, LAKE_PATH_MAX, "%s", text ? text : "");
    } else {
        char sha[65];
        lake_sha256(cdc_buf_slice(&buf), sha);
        size_t keep = DIR_MAX - 17;
        while (text[keep - 1] == '%' || text[keep - 2] == '%')
            keep--; /* not inside an escape */
        snprintf(ret, LAKE_PATH_MAX, "%.*s~%.16s", (int)keep, text, sha);
    }
    cdc_buf_done(&buf);
}

bool lake_number_parse(const char *text, size_t digits, const char *tail, uint64_t *ret)
{
    uint64_t n = 0;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        if (n > (UINT64_MAX - 9) / 10)
            return false;
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    *ret = n;
    return strcmp(text + digits, tail) == 0;
}

bool lake_name_parse(const char *name, struct lake_name *ret)
{
    struct lake_name out = {.tmp = *name == '.'};
    uint64_t epoch, part;
    if (sscanf(name + out.tmp, "%20" SCNu64 "-%10" SCNu64 "-%9" SCNu64 ".%8[0-9a-f].avro", &out.seq,
               &epoch, &part, out.schema) != 4 ||
        epoch > UINT32_MAX)
        return false;
    out.epoch = (uint32_t)epoch;
    out.part = (uint32_t)part;
    char again[LAKE_PATH_MAX];
    lake_name_print(&out, again); /* signs, blanks, missing digits: not what we write */
    *ret = out;
    return strcmp(again, name) == 0;
}

void lake_name_print(const struct lake_name *name, char ret[LAKE_PATH_MAX])
{
    snprintf(ret, LAKE_PATH_MAX, "%s%020" PRIu64 "-%010" PRIu32 "-%04" PRIu32 ".%s.avro%s",
             name->tmp ? "." : "", name->seq, name->epoch, name->part, name->schema,
             name->tmp ? ".tmp" : "");
}

bool lake_path_ok(const char *path)
{
    if (strncmp(path, "log/", 4) != 0 || strlen(path) >= LAKE_PATH_MAX)
        return false;
    for (const char *p = path; *p; p++) {
        if (!plain((uint8_t)*p) && !strchr("%~=/", *p))
            return false;
        if (*p == '/' && (p[1] == '.' || p[1] == '/' || !p[1]))
            return false; /* hidden, empty, "..": none is ours */
    }
    return true;
}

static void split_time(int64_t us, struct tm *ret, int *ret_us)
{
    int64_t s = us / 1000000, rest = us % 1000000;
    if (rest < 0) {
        rest += 1000000;
        s--;
    }
    time_t at = (time_t)s;
    gmtime_r(&at, ret);
    *ret_us = (int)rest;
}

void lake_date(int64_t us, char ret[11])
{
    struct tm tm;
    int rest;
    split_time(us, &tm, &rest);
    if (!strftime(ret, 11, "%Y-%m-%d", &tm))
        snprintf(ret, 11, "1970-01-01"); /* a clock beyond the year 9999 */
}

void lake_time(int64_t us, char ret[28])
{
    struct tm tm;
    int rest;
    char day[20];
    split_time(us, &tm, &rest);
    if (!strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm))
        snprintf(day, sizeof day, "1970-01-01T00:00:00");
    snprintf(ret, 28, "%s.%06dZ", day, rest);
}

bool lake_time_parse(const char *text, int64_t *ret_us)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";
    struct tm tm = {0};
    int us;
    for (size_t i = 0; i < sizeof form; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%6d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &us) != 7)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t at = (int64_t)timegm(&tm) * 1000000 + us;
    char again[28];
    lake_time(at, again);
    *ret_us = at;
    return strcmp(again, text) == 0; /* no 31 February */
}

void lake_hex(const uint8_t *p, size_t n, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        ret[2 * i] = digits[p[i] >> 4];
        ret[2 * i + 1] = digits[p[i] & 15];
    }
    ret[2 * n] = 0;
}

bool lake_is_hex(const char *text, size_t n)
{
    return strlen(text) == n && strspn(text, "0123456789abcdef") == n;
}

void lake_sha256(struct cdc_slice bytes, char ret[65])
{
    uint8_t sum[32];
    if (!EVP_Digest(bytes.p, bytes.len, sum, NULL, EVP_sha256(), NULL))
        abort(); /* no memory for a context of libcrypto */
    lake_hex(sum, sizeof sum, ret);
}

uint64_t lake_hash(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const uint8_t *p = (const uint8_t *)text; *p; p++)
        h = (h ^ *p) * 0x100000001b3u;
    return h;
}
