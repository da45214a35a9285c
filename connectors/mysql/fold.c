/*
 * fold.c - names of databases and tables where the server does not tell upper from lower case.
 *
 * With lower_case_table_names 1 the server keeps names in small letters, with 2 it keeps them as
 * they were written and compares them so; the log has them as they are kept, but the text of a
 * statement as it was written. Both servers fold by the collation utf8mb3_general_ci, whose
 * letters are those of an old Unicode: so not towlower, but a table (fold_table.h). No small letter
 * is longer in UTF-8 than the large one, so it is done in place. What is no UTF-8 stays.
 */
#include "charset.h"
#include "fold_table.h"
#include "mysql.h"

static uint32_t small_of(uint32_t c)
{
    size_t low = 0, high = sizeof mys_folds / sizeof mys_folds[0];
    while (low < high) { /* the last whose `from` is not above */
        size_t mid = low + (high - low) / 2;
        if (mys_folds[mid].from <= c)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0)
        return c;
    const struct mys_fold *fold = &mys_folds[low - 1];
    return c <= fold->to && (c - fold->from) % fold->step == 0 ? c + (uint32_t)(int32_t)fold->by
                                                               : c;
}

void mys_name_fold(const struct mys_facts *facts, char *name)
{
    uint8_t *to = (uint8_t *)name;
    size_t n = strlen(name);
    uint32_t c;
    if (!facts->lower_case)
        return;
    for (const uint8_t *from = to; n > 0;) {
        unsigned len = mys_utf8_take(from, n, &c);
        if (len > 0)
            to += mys_utf8_put(to, small_of(c));
        else
            *to++ = *from;
        len += !len;
        from += len;
        n -= len;
    }
    *to = 0;
}
