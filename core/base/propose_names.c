/*
 * propose_names.c - see propose.h: hints and names. Words are looked for in the lower-cased name:
 * long ones anywhere (useremail), short ones only between ends and underscores (ip, but not zip).
 */
#include "cdc/propose.h"

#define LONG_WORD 5 /* letters from which a word is looked for anywhere */

struct word {
    const char *text;
    enum cdc_hint hint;
};

/* The first that is found decides. */
static const struct word words[] = {
    {"password", CDC_HINT_EXCLUDE},
    {"passwd", CDC_HINT_EXCLUDE},
    {"passphrase", CDC_HINT_EXCLUDE},
    {"pwd", CDC_HINT_EXCLUDE},
    {"secret", CDC_HINT_EXCLUDE},
    {"token", CDC_HINT_EXCLUDE},
    {"api_key", CDC_HINT_EXCLUDE},
    {"apikey", CDC_HINT_EXCLUDE},
    {"private_key", CDC_HINT_EXCLUDE},
    {"salt", CDC_HINT_EXCLUDE},
    {"cvv", CDC_HINT_EXCLUDE},
    {"email", CDC_HINT_HASH},
    {"e_mail", CDC_HINT_HASH},
    {"ssn", CDC_HINT_HASH},
    {"social_security", CDC_HINT_HASH},
    {"tax_id", CDC_HINT_HASH},
    {"passport", CDC_HINT_HASH},
    {"national_id", CDC_HINT_HASH},
    {"iban", CDC_HINT_HASH},
    {"card_number", CDC_HINT_HASH},
    {"credit_card", CDC_HINT_HASH},
    {"phone", CDC_HINT_MASK},
    {"mobile", CDC_HINT_MASK},
    {"fax", CDC_HINT_MASK},
    {"street", CDC_HINT_MASK},
    {"address", CDC_HINT_MASK},
    {"firstname", CDC_HINT_MASK},
    {"first_name", CDC_HINT_MASK},
    {"lastname", CDC_HINT_MASK},
    {"last_name", CDC_HINT_MASK},
    {"full_name", CDC_HINT_MASK},
    {"surname", CDC_HINT_MASK},
    {"birth", CDC_HINT_MASK},
    {"dob", CDC_HINT_MASK},
    {"ip", CDC_HINT_MASK},
};

/* Whole names. */
static const char *const updated[] = {
    "updated_at",   "updatedat",     "updated_on",       "updated",
    "last_updated", "last_update",   "modified_at",      "modifiedat",
    "modified_on",  "last_modified", "last_modified_at", "changed_at",
    "update_time",  "updated_time",  "modified_time",    "mtime",
    NULL,
};
static const char *const deleted[] = {
    "deleted_at", "deletedat",  "deleted_on", "deleted",    "is_deleted",
    "isdeleted",  "removed_at", "removed_on", "is_removed", NULL,
};

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(name, *list) == 0)
            return true;
    return false;
}

static bool is_letter(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool holds(const char *name, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = strstr(name, word); at; at = strstr(at + 1, word))
        if (n >= LONG_WORD || ((at == name || !is_letter(at[-1])) && !is_letter(at[n])))
            return true;
    return false;
}

static void lower(const char *name, char ret[64])
{
    size_t i = 0;
    for (; i < 63 && name[i]; i++)
        ret[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
    ret[i] = 0;
}

enum cdc_hint cdc_hint(const char *column, enum cdc_hint_type type)
{
    char name[64];
    lower(column, name);
    if (type == CDC_TYPE_TIME && is_one_of(name, updated))
        return CDC_HINT_UPDATED;
    if ((type == CDC_TYPE_TIME || type == CDC_TYPE_BOOL) && is_one_of(name, deleted))
        return CDC_HINT_DELETED;
    if (type == CDC_TYPE_BOOL) /* email_verified */
        return CDC_HINT_NONE;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        /* A time beside a secret or an address (password_changed_at) is neither; a birthday is. */
        bool about =
            type == CDC_TYPE_TIME && !holds(words[i].text, "birth") && !holds(words[i].text, "dob");
        if (!about && holds(name, words[i].text))
            return words[i].hint;
    }
    return CDC_HINT_NONE;
}

bool cdc_name_printable(const char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name < 0x20 || *name == 0x7f)
            return false;
    return true;
}

void cdc_name_comment(struct cdc_buf *buf, const char *name)
{
    for (; *name; name++)
        cdc_buf_byte(buf, (unsigned char)*name < 0x20 || *name == 0x7f ? '?' : (uint8_t)*name);
}

static bool is_plain(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    return *name && strchr(letters, *name) &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789.")] ==
               0;
}

/* In single quotes: doubled quotes; $${ where ${ stands. */
static void put_quoted(struct cdc_buf *buf, const char *text)
{
    cdc_buf_byte(buf, '\'');
    for (; *text; text++) {
        if (*text == '\'' || (*text == '$' && text[1] == '{'))
            cdc_buf_byte(buf, (uint8_t)*text);
        cdc_buf_byte(buf, (uint8_t)*text);
    }
    cdc_buf_byte(buf, '\'');
}

static void put_yaml(struct cdc_buf *buf, const char *text)
{
    if (is_plain(text))
        cdc_buf_str(buf, text);
    else
        put_quoted(buf, text);
}

/* A name that patterns would take otherwise: special characters behind a backslash. */
static void put_literal(struct cdc_buf *buf, const char *name, bool schema)
{
    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;
        if (c < 0x20 || c == 0x7f || (schema && c == '.')) {
            cdc_buf_byte(buf, '?');
            continue;
        }
        if (strchr("*?[]\\", c))
            cdc_buf_byte(buf, '\\');
        cdc_buf_byte(buf, c);
    }
}

void cdc_name_yaml(struct cdc_buf *buf, const char *name)
{
    struct cdc_buf text = CDC_BUF(1024);
    put_literal(&text, name, false);
    const char *literal = cdc_buf_cstr(&text);
    if (literal)
        put_yaml(buf, literal);
    cdc_buf_done(&text);
}

void cdc_name_pattern(struct cdc_buf *buf, const char *schema, const char *table)
{
    struct cdc_buf text = CDC_BUF(1024);
    put_literal(&text, schema, true);
    cdc_buf_byte(&text, '.');
    put_literal(&text, table, false);
    const char *pattern = cdc_buf_cstr(&text);
    if (pattern)
        put_yaml(buf, pattern);
    cdc_buf_done(&text);
}

void cdc_name_pipeline(const char *database, char ret[42])
{
    size_t n = 0;
    char name[64];
    lower(database, name);
    if (!is_letter(name[0])) {
        memcpy(ret, "db", 2);
        n = 2;
    }
    for (size_t i = 0; name[i] && n < 41; i++)
        ret[n++] = is_letter(name[i]) || (name[i] >= '0' && name[i] <= '9') ? name[i] : '_';
    ret[n] = 0;
}

void cdc_name_url(struct cdc_buf *buf, const char *part)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (; *part; part++) {
        if (strchr(plain, *part))
            cdc_buf_byte(buf, (uint8_t)*part);
        else
            cdc_buf_printf(buf, "%%%02X", (unsigned char)*part);
    }
}
