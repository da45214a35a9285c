/*
 * ddl_scan.c - see ddl_scan.h.
 */
#include "ddl_scan.h"

#include <strings.h>

static uint8_t peek(const struct mys_scan *s, size_t ahead)
{
    return s->at + ahead < s->sql.len ? s->sql.p[s->at + ahead] : 0;
}

static bool is_word(uint8_t c)
{
    return c == '_' || c == '$' || c >= 0x80 || (c >= '0' && c <= '9') ||
           ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static void skip_line(struct mys_scan *s)
{
    while (s->at < s->sql.len && s->sql.p[s->at] != '\n')
        s->at++;
}

static void skip_comment(struct mys_scan *s)
{
    for (s->at += 2; s->at < s->sql.len; s->at++)
        if (peek(s, 0) == '*' && peek(s, 1) == '/') {
            s->at += 2;
            return;
        }
}

/* Over the head of an executable comment: the mark and a version number. */
static void enter_comment(struct mys_scan *s)
{
    s->at += peek(s, 2) == 'M' ? 4 : 3;
    while (peek(s, 0) >= '0' && peek(s, 0) <= '9')
        s->at++;
}

/* One piece of blank, false: there is none. */
static bool skip_blank(struct mys_scan *s)
{
    uint8_t c = peek(s, 0), next = peek(s, 1);
    if (s->at >= s->sql.len)
        return false;
    if (c <= ' ')
        s->at++;
    else if (c == '#' || (c == '-' && next == '-' && peek(s, 2) <= ' '))
        skip_line(s);
    else if (c == '*' && next == '/')
        s->at += 2; /* the end of an executable one */
    else if (c != '/' || next != '*')
        return false;
    else if (peek(s, 2) == '!' || (peek(s, 2) == 'M' && peek(s, 3) == '!'))
        enter_comment(s);
    else
        skip_comment(s);
    return true;
}

/* From behind the opening quote to the closing one, which a doubled one is not. */
static struct cdc_slice take_quoted(struct mys_scan *s, char quote)
{
    bool escapes = quote != '`' && !s->session->no_backslash;
    size_t from = ++s->at;
    for (; s->at < s->sql.len; s->at++) {
        if (escapes && s->sql.p[s->at] == '\\') {
            s->at++;
            continue;
        }
        if (s->sql.p[s->at] != (uint8_t)quote)
            continue;
        if (peek(s, 1) != (uint8_t)quote)
            break;
        s->at++;
    }
    size_t to = s->at < s->sql.len ? s->at++ : s->sql.len;
    return cdc_slice_of(s->sql.p + from, to > from ? to - from : 0);
}

void mys_next(struct mys_scan *s)
{
    while (skip_blank(s))
        ;
    uint8_t c = peek(s, 0);
    s->tok = (struct mys_token){.kind = MYS_T_END, .quote = (char)c};
    if (s->at >= s->sql.len)
        return;
    if ((c | 0x20) == 'x' && peek(s, 1) == '\'') {
        s->at++;
        s->tok.kind = MYS_T_HEX;
        s->tok.text = take_quoted(s, '\'');
    } else if (c == '`' || (c == '"' && s->session->ansi_quotes)) {
        s->tok.kind = MYS_T_NAME;
        s->tok.text = take_quoted(s, (char)c);
    } else if (c == '\'' || c == '"') {
        s->tok.kind = MYS_T_STRING;
        s->tok.text = take_quoted(s, (char)c);
    } else if (is_word(c)) {
        size_t from = s->at;
        while (s->at < s->sql.len && is_word(s->sql.p[s->at]))
            s->at++;
        s->tok.kind = MYS_T_WORD;
        s->tok.text = cdc_slice_of(s->sql.p + from, s->at - from);
    } else {
        s->tok.kind = MYS_T_SIGN;
        s->tok.text = cdc_slice_of(s->sql.p + s->at++, 1);
    }
}

bool mys_at(const struct mys_scan *s, const char *word)
{
    return s->tok.kind == MYS_T_WORD && s->tok.text.len == strlen(word) &&
           strncasecmp((const char *)s->tok.text.p, word, s->tok.text.len) == 0;
}

bool mys_at_sign(const struct mys_scan *s, char sign)
{
    return s->tok.kind == MYS_T_SIGN && s->tok.text.p[0] == (uint8_t)sign;
}

bool mys_take(struct mys_scan *s, const char *word)
{
    if (!mys_at(s, word))
        return false;
    mys_next(s);
    return true;
}

int mys_take_any(struct mys_scan *s, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (mys_take(s, words[i]))
            return i;
    return -1;
}

void mys_take_all(struct mys_scan *s, const char *const *words)
{
    while (mys_take_any(s, words) >= 0)
        ;
}

const char *mys_name_text(struct mys_scan *s, const struct mys_token *tok)
{
    char *to = cdc_arena_alloc(s->arena, tok->text.len + 1);
    size_t n = 0;
    for (size_t i = 0; to && i < tok->text.len; i++) {
        to[n++] = (char)tok->text.p[i];
        if (tok->kind == MYS_T_NAME && tok->text.p[i] == (uint8_t)tok->quote)
            i++;
    }
    if (to)
        to[n] = 0;
    s->failed |= !to;
    return to;
}
