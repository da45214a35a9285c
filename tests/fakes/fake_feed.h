/*
 * fake_feed.h - a feed whose commits are a text.
 *
 *   script  := commit { "|" commit }        commits are numbered from 1; an empty one is idle
 *   commit  := item { ";" item }
 *   item    := "@" table version mode col... | op place [value...] [reason] ["<" prev[,prev]]
 *   col     := ["*"] name ":" type          * in the key; types: i int, s text, f float, b bytes,
 *                                           o bool, z timestamptz (seconds)
 *   op      := c u r d t m
 *   place   := tx "." ordinal | tx ".s" generation      a place of the log, and a snapshot's
 *   value   := text | "-" (NULL) | "~" (not sent: in __unchanged) | "''" (empty)
 *   reason  := "!" text                     d: delete is meant where there is none; t: truncate;
 *                                           c u r: only logical, which makes the row deleted
 *
 *   "@public.t 1 soft *id:i a:s; c 1.1 1 x | u 2.1 1 ~ | d 3.1 1 ~ !key_change; c 3.1 2 ~ <1"
 *
 * The commit time of transaction n is 2024-01-01 plus n seconds. The feed's rows point into itself.
 * cfg->path (or the place) is the script, so that a test has no state outside its own. An item
 * "!retry" fails that commit with CDC_RETRY as long as fake_feed_failures is above zero. A token is
 * of the commit's number and the text of all commits up to it (blanks and semicolons apart): the
 * script may grow, and a reader that comes back to another one is refused.
 */
#ifndef TESTS_FAKE_FEED_H
#define TESTS_FAKE_FEED_H

#include "cdc/change.h"
#include "cdc/feed.h"

extern const struct cdc_feed_ops fake_feed_ops;
extern int fake_feed_failures;

/* __seq as the script's places make it: a buffer of CDC_SEQ_LEN + 1 bytes. */
void fake_feed_seq(char *ret, unsigned tx, uint64_t ordinal);

#endif
