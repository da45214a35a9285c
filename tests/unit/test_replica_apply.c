/*
 * test_replica_apply.c - what each row of the feed does to the replica: one row of the table for
 * each case of docs/replica.md and of facts/peers.md 4.2 that concerns a replica.
 *
 * Each script is run twice: in one go, and into a second database with a new process after each
 * commit, which must come to the same end.
 */
#include "replica_db.h"
#include "rows.h"

#define SOFT   "@public.t 1 soft *id:i a:s b:i; "
#define HARD   "@public.t 1 hard *id:i a:s b:i; "
#define APPEND "@public.t 1 append *id:i a:s b:i; "

struct apply_row {
    const char *name;
    const char *script;
    const char *expect; /* of public.t, in __seq order */
};

static const struct apply_row soft_rows[] = {
    {"insert", SOFT "c 1.1 1 x 10; c 1.2 2 - 20", "1,x,10 | 2,-,20"},
    {"empty text is not null", SOFT "c 1.1 1 '' -", "1,,-"},
    {"update", SOFT "c 1.1 1 x 10 | u 2.1 1 y 11", "1,y,11"},
    {"update without insert seen", SOFT "u 2.1 1 y 11", "1,y,11"},
    {"update of an unsent column keeps it", SOFT "c 1.1 1 x 10 | u 2.1 1 ~ 11", "1,x,11"},
    {"an unsent null stays null, and known", SOFT "c 1.1 1 - 10 | u 2.1 1 ~ 11", "1,-,11"},
    {"unsent in the insert's own transaction", SOFT "c 1.1 1 x 10; u 1.2 1 ~ 11", "1,x,11"},
    {"unsent without a row: listed", SOFT "u 2.1 1 ~ 11", "1,-,11 ?[\"a\"]"},
    {"listed until a value comes", SOFT "u 2.1 1 ~ ~ | u 3.1 1 x ~", "1,x,- ?[\"b\"]"},
    {"null is a value that comes", SOFT "u 2.1 1 ~ 1 | u 3.1 1 - 2", "1,-,2"},
    {"listed stays listed", SOFT "u 2.1 1 ~ 1 | u 3.1 1 ~ 2", "1,-,2 ?[\"a\"]"},
    {"delete with its last values", SOFT "c 1.1 1 x 10 | d 2.1 1 x 10", "1,x,10 !delete@2"},
    {"delete of a key nulls nothing", SOFT "c 1.1 1 x 10 | d 2.1 1 ~ ~", "1,x,10 !delete@2"},
    {"delete's image is richer", SOFT "u 1.1 1 ~ 10 | d 2.1 1 x 10", "1,x,10 !delete@2"},
    {"delete without a row", SOFT "d 2.1 1 ~ ~", "1,-,- !delete@2 ?[\"a\",\"b\"]"},
    {"older insert after its delete", SOFT "d 2.1 1 ~ ~ | c 1.1 1 x 10",
     "1,-,- !delete@2 ?[\"a\",\"b\"]"},
    {"insert and delete in one transaction", SOFT "c 1.1 1 x 10; d 1.2 1 ~ ~", "1,x,10 !delete@1"},
    {"insert again after a delete", SOFT "c 1.1 1 x 10 | d 2.1 1 ~ ~ | c 3.1 1 y -", "1,y,-"},
    {"delete and insert in one transaction", SOFT "c 1.1 1 x 10 | d 2.1 1 ~ ~; c 2.2 1 y 11",
     "1,y,11"},
    {"an unsent column is not of the life before", SOFT "c 1.1 1 x 10 | d 2.1 1 ~ ~ | u 4.1 1 ~ 11",
     "1,-,11 ?[\"a\"]"},
    {"deleted twice", SOFT "c 1.1 1 x 10 | d 2.1 1 ~ ~ | d 3.1 1 ~ ~", "1,x,10 !delete@3"},
    {"replay: equal", SOFT "c 1.1 1 x 10 | c 1.1 1 z 99", "1,x,10"},
    {"replay: smaller", SOFT "c 1.1 1 x 10 | u 3.1 1 y 11 | u 2.1 1 z 99", "1,y,11"},
    {"replay of a delete after the new life",
     SOFT "c 1.1 1 x 10 | d 2.1 1 ~ ~ | c 3.1 1 y 11 | d 2.1 1 ~ ~", "1,y,11"},
    {"ordinals decide in a transaction", SOFT "u 2.2 1 y 11; u 2.1 1 z 99", "1,y,11"},
    {"snapshot row after a newer change", SOFT "u 5.1 1 y 11 | r 4.s1 1 x 10", "1,y,11"},
    {"snapshot row over an older change", SOFT "u 4.1 1 ~ 11 | r 4.s1 1 x 11", "1,x,11"},
    {"snapshot row revives", SOFT "d 4.1 1 ~ ~ | r 4.s2 1 x 11", "1,x,11"},
};

/* A logical delete is an update of a row that is still there. */
static const struct apply_row logical_rows[] = {
    {"logical delete", SOFT "c 1.1 1 x 10 | u 2.1 1 x 11 !logical", "1,x,11 !logical@2"},
    {"logical: born deleted", SOFT "c 1.1 1 x 10 !logical", "1,x,10 !logical@1"},
    {"logical: read by a snapshot", SOFT "r 1.s1 1 x 10 !logical", "1,x,10 !logical@1"},
    {"logical: another update later", SOFT "c 1.1 1 x 10 !logical | u 2.1 1 y 10 !logical",
     "1,y,10 !logical@2"},
    {"logical: revival", SOFT "c 1.1 1 x 10 !logical | u 2.1 1 x 11", "1,x,11"},
    {"logical: revival keeps unsent values", SOFT "c 1.1 1 x 10 !logical | u 2.1 1 ~ 11", "1,x,11"},
    {"logical: unsent values stay", SOFT "c 1.1 1 x 10 | u 2.1 1 ~ 11 !logical",
     "1,x,11 !logical@2"},
    {"logical, then deleted", SOFT "c 1.1 1 x 10 !logical | d 2.1 1 ~ ~", "1,x,10 !delete@2"},
    {"logical, deleted, inserted again", SOFT "c 1.1 1 x 10 !logical | d 2.1 1 ~ ~ | c 3.1 1 y 11",
     "1,y,11"},
    {"logical, then truncated", SOFT "c 1.1 1 x 10 !logical | t 2.1", "1,x,10 !truncate@2"},
    {"logical, older than a truncate", SOFT "t 3.1 | c 1.1 1 x 10 !logical", "1,x,10 !truncate@3"},
    {"logical: replay of it after the revival",
     SOFT "c 1.1 1 x 10 | u 2.1 1 x 10 !logical | u 3.1 1 x 12 | u 2.1 1 x 10 !logical", "1,x,12"},
    {"logical: its key changes",
     SOFT "c 1.1 1 x 10 !logical | d 2.1 1 ~ ~ !key_change; c 2.1 2 ~ 11 !logical <1",
     "1,x,10 !key_change@2 | 2,x,11 !logical@2"},
    {"logical: swapped with another in one statement",
     SOFT "c 1.1 1 x 10; c 1.2 2 y 20 !logical | d 2.1 1 x 10 !key_change; c 2.1 2 x 10 <1;"
          "d 2.2 2 y 20 !key_change; c 2.2 1 y 20 !logical <2",
     "1,y,20 !logical@2 | 2,x,10"},
    {"hard: a logical delete removes nothing", HARD "c 1.1 1 x 10 | u 2.1 1 x 11 !logical",
     "1,x,11 !logical@2"},
    {"hard: logical, then deleted", HARD "c 1.1 1 x 10 !logical; c 1.2 2 y 20 | d 2.1 1 ~ ~",
     "2,y,20"},
    {"append: every record", APPEND "c 1.1 1 x 10 | u 2.1 1 x 11 !logical | u 3.1 1 x 11",
     "1,x,10 | 1,x,11 !logical@2 | 1,x,11"},
};

static const struct apply_row range_rows[] = {
    {"truncate", SOFT "c 1.1 1 x 10; c 1.2 2 y 20 | t 2.1",
     "1,x,10 !truncate@2 | 2,y,20 !truncate@2"},
    {"truncate spares what is newer", SOFT "c 1.1 1 x 10; t 1.2; c 1.3 2 y 20",
     "1,x,10 !truncate@1 | 2,y,20"},
    {"smaller is strict", SOFT "c 2.1 1 x 10 | t 2.1", "1,x,10"},
    {"truncate leaves earlier deletes", SOFT "c 1.1 1 x 10 | d 2.1 1 ~ ~ | t 3.1",
     "1,x,10 !delete@2"},
    {"older row after truncate stays gone", SOFT "t 3.1 | c 1.1 1 x 10", "1,x,10 !truncate@3"},
    {"older delete after truncate is a delete", SOFT "t 3.1 | c 1.1 1 x 10 | d 2.1 1 ~ ~",
     "1,x,10 !delete@2"},
    {"older truncate after a newer one", SOFT "t 3.1 | t 2.1 | c 1.1 1 x 10", "1,x,10 !truncate@3"},
    {"newer row after truncate lives", SOFT "c 1.1 1 x 10 | t 2.1 | c 3.1 1 y 11", "1,y,11"},
    {"row of between, after both", SOFT "c 1.1 1 x 10 | t 3.1 | u 2.1 1 y 11",
     "1,y,11 !truncate@3"},
    {"sweep of a repeated snapshot",
     SOFT "r 1.s1 1 x 10; r 1.s1 2 y 20 | d 2.1 1 ~ ~ | r 3.s2 3 z 30 | t 3.s2 !inferred",
     "2,y,20 !inferred@3 | 1,x,10 !delete@2 | 3,z,30"},
    {"truncate of another table", SOFT "c 1.1 1 x 10; @public.u 1 soft *id:i; t 2.1", "1,x,10"},
    {"truncate first of all", SOFT "t 1.1", ""},
    {"hard: truncate", HARD "c 1.1 1 x 10; c 1.2 2 y 20 | t 2.1; c 2.2 3 z 30", "3,z,30"},
    {"hard: older row after truncate", HARD "t 3.1 | c 1.1 1 x 10 | c 4.1 2 y 20", "2,y,20"},
};

static const struct apply_row key_rows[] = {
    {"key change", SOFT "c 1.1 1 x 10 | d 2.1 1 ~ ~ !key_change; c 2.1 2 x 11 <1",
     "1,x,10 !key_change@2 | 2,x,11"},
    {"key change takes unsent values along",
     SOFT "c 1.1 1 x 10 | d 2.1 1 ~ ~ !key_change; c 2.1 2 ~ 11 <1",
     "1,x,10 !key_change@2 | 2,x,11"},
    {"unknown before, unknown after",
     SOFT "u 1.1 1 ~ 10 | d 2.1 1 ~ ~ !key_change; c 2.1 2 ~ 11 <1",
     "1,-,10 !key_change@2 ?[\"a\"] | 2,-,11 ?[\"a\"]"},
    {"the delete half knows more", SOFT "u 1.1 1 ~ 10 | d 2.1 1 x 10 !key_change; c 2.1 2 ~ 11 <1",
     "1,x,10 !key_change@2 | 2,x,11"},
    {"no row before", SOFT "d 2.1 1 ~ ~ !key_change; c 2.1 2 ~ 11 <1",
     "1,-,- !key_change@2 ?[\"a\",\"b\"] | 2,-,11 ?[\"a\"]"},
    {"not from an earlier life at the new key",
     SOFT "c 1.1 2 old 1; c 1.2 1 x 10 | d 2.1 2 ~ ~ | d 3.1 1 ~ ~ !key_change; c 3.1 2 ~ ~ <1",
     "1,x,10 !key_change@3 | 2,x,10"},
    {"chain 1, 2, 3",
     SOFT "c 1.1 1 x 10 | d 2.1 1 ~ ~ !key_change; c 2.1 2 ~ 11 <1;"
          "d 2.2 2 ~ ~ !key_change; c 2.2 3 ~ 12 <2",
     "1,x,10 !key_change@2 | 2,x,11 !key_change@2 | 3,x,12"},
    {"there and back",
     SOFT "c 1.1 1 x 10 | d 2.1 1 ~ ~ !key_change; c 2.1 2 ~ ~ <1;"
          "d 2.2 2 ~ ~ !key_change; c 2.2 1 ~ ~ <2",
     "1,x,10 | 2,x,10 !key_change@2"},
    {"swap by a third key",
     SOFT "c 1.1 1 x 10; c 1.2 2 y 20 |"
          "d 2.1 1 ~ ~ !key_change; c 2.1 9 ~ ~ <1; d 2.2 2 ~ ~ !key_change; c 2.2 1 ~ ~ <2;"
          "d 2.3 9 ~ ~ !key_change; c 2.3 2 ~ ~ <9",
     "1,y,20 | 2,x,10 | 9,x,10 !key_change@2"},
    {"read by a copy after it had moved, and another row under the key before",
     SOFT "c 1.1 1 x 10 | r 2.s1 1 n 20; r 2.s1 2 x 12 |"
          "d 3.1 1 ~ ~ !key_change; c 3.1 2 ~ 11 <1; c 3.2 1 n 20 | u 4.1 2 ~ 12",
     "1,n,20 | 2,x,12"},
    {"swap in one statement",
     SOFT "c 1.1 1 x 10; c 1.2 2 y 20 |"
          "d 2.1 1 x 10 !key_change; c 2.1 2 x 10 <1; d 2.2 2 y 20 !key_change; c 2.2 1 y 20 <2",
     "1,y,20 | 2,x,10"},
    {"all keys up by one in one statement",
     SOFT "c 1.1 1 x 10; c 1.2 2 y 20; c 1.3 3 z 30 |"
          "d 2.1 1 x 10 !key_change; c 2.1 2 x 10 <1; d 2.2 2 y 20 !key_change; c 2.2 3 y 20 <2;"
          "d 2.3 3 z 30 !key_change; c 2.3 4 z 30 <3",
     "1,x,10 !key_change@2 | 2,x,10 | 3,y,20 | 4,z,30"},
    {"all keys up by one, rows alike",
     SOFT "c 1.1 1 x 10; c 1.2 2 x 10 |"
          "d 2.1 1 x 10 !key_change; c 2.1 2 x 10 <1; d 2.2 2 x 10 !key_change; c 2.2 3 x 10 <2",
     "1,x,10 !key_change@2 | 2,x,10 | 3,x,10"},
    {"inserted over, this one deleted", SOFT "c 1.1 1 x 10 | c 2.1 1 y 11; d 2.2 1 y 11",
     "1,y,11 !delete@2"},
    {"inserted over, deleted by its key", SOFT "c 1.1 1 x 10 | c 2.1 1 y 11; d 2.2 1 ~ ~",
     "1,y,11 !delete@2"},
    {"inserted over, the old one deleted", SOFT "c 1.1 1 x 10 | c 2.1 1 y 11; d 2.2 1 x 10",
     "1,y,11"},
    {"and its replay changes nothing",
     SOFT "c 1.1 1 x 10 | c 2.1 1 y 11; d 2.2 1 x 10 | c 2.1 1 y 11; d 2.2 1 x 10", "1,y,11"},
    {"pushed is forgotten with its transaction", SOFT "c 1.1 1 x 10 | c 2.1 1 y 11 | d 3.1 1 x 10",
     "1,x,10 !delete@3"},
    {"in the next transaction it is this one", SOFT "c 1.1 1 x 10 | c 2.1 1 y 11 | d 3.1 1 ~ ~",
     "1,y,11 !delete@3"},
    {"replay of a key change",
     SOFT "c 1.1 1 x 10 | d 2.1 1 ~ ~ !key_change; c 2.1 2 ~ 11 <1 | u 3.1 2 ~ 12 |"
          "d 2.1 1 ~ ~ !key_change; c 2.1 2 ~ 11 <1",
     "1,x,10 !key_change@2 | 2,x,12"},
    {"snapshot had the new key already",
     SOFT "r 1.s1 2 x 10 | d 2.1 1 ~ ~ !key_change; c 2.1 2 ~ 10 <1",
     "1,-,- !key_change@2 ?[\"a\",\"b\"] | 2,x,10"},
    {"hard: key change takes unsent values along",
     HARD "c 1.1 1 x 10 | d 2.1 1 ~ ~ !key_change; c 2.1 2 ~ 11 <1", "2,x,11"},
    {"hard: chain",
     HARD "c 1.1 1 x 10 | d 2.1 1 ~ ~ !key_change; c 2.1 2 ~ ~ <1;"
          "d 2.2 2 ~ ~ !key_change; c 2.2 3 ~ ~ <2",
     "3,x,10"},
    {"hard: swap by a third key",
     HARD "c 1.1 1 x 10; c 1.2 2 y 20 |"
          "d 2.1 1 ~ ~ !key_change; c 2.1 9 ~ ~ <1; d 2.2 2 ~ ~ !key_change; c 2.2 1 ~ ~ <2;"
          "d 2.3 9 ~ ~ !key_change; c 2.3 2 ~ ~ <9",
     "1,y,20 | 2,x,10"},
    {"hard: swap in one statement",
     HARD "c 1.1 1 x 10; c 1.2 2 y 20 |"
          "d 2.1 1 x 10 !key_change; c 2.1 2 x 10 <1; d 2.2 2 y 20 !key_change; c 2.2 1 y 20 <2",
     "1,y,20 | 2,x,10"},
    {"text keys",
     "@public.t 1 soft *k:s a:s; c 1.1 one x | d 2.1 one ~ !key_change; c 2.1 two ~ <one",
     "one,x !key_change@2 | two,x"},
    {"a key of two columns",
     "@public.t 1 soft *k:s *n:i a:s; c 1.1 one 1 x; c 1.2 one 2 y |"
     "d 2.1 one 1 ~ !key_change; c 2.1 two 1 ~ <one,1; u 2.2 one 2 z",
     "one,1,x !key_change@2 | two,1,x | one,2,z"},
};

static const struct apply_row mode_rows[] = {
    {"hard: delete", HARD "c 1.1 1 x 10; c 1.2 2 y 20 | d 2.1 1 ~ ~", "2,y,20"},
    {"hard: insert and delete in one transaction", HARD "c 1.1 1 x 10; d 1.2 1 ~ ~", ""},
    {"hard: older row after its delete", HARD "d 2.1 1 ~ ~ | c 1.1 1 x 10", ""},
    {"hard: equal __seq after its delete", HARD "d 2.1 1 ~ ~ | c 2.1 1 x 10", ""},
    {"hard: insert again", HARD "c 1.1 1 x 10 | d 2.1 1 ~ ~ | c 3.1 1 y 11", "1,y,11"},
    {"hard: insert again, then the delete again",
     HARD "c 1.1 1 x 10 | d 2.1 1 ~ ~ | c 3.1 1 y 11 | d 2.1 1 ~ ~", "1,y,11"},
    {"hard: replayed from the start",
     HARD "c 1.1 1 x 10 | d 2.1 1 ~ ~ | c 1.1 1 x 10 | d 2.1 1 ~ ~", ""},
    {"append keeps every record", APPEND "c 1.1 1 x 10; c 1.2 1 y 11 | d 2.1 1 ~ ~ | c 3.1 1 z 12",
     "1,x,10 | 1,y,11 | 1,-,- !delete@2 ?[\"a\",\"b\"] | 1,z,12"},
    {"append keeps a truncate", APPEND "c 1.1 1 x 10 | t 2.1", "1,x,10 | -,-,- !truncate@2"},
    {"no key: appended whatever the rule says", "@public.t 1 soft a:s; c 1.1 x; c 1.2 x | d 2.1 x",
     "x | x | x !delete@2"},
};

static const struct apply_row shape_rows[] = {
    {"a column is added", SOFT "c 1.1 1 x 10 | @public.t 2 soft *id:i a:s b:i c:s; c 2.1 2 y 20 w",
     "1,x,10,- | 2,y,20,w"},
    {"a column is dropped",
     SOFT "c 1.1 1 x 10; c 1.2 3 z 30 | @public.t 2 soft *id:i b:i;"
          "u 2.1 1 11; c 2.2 2 20",
     "3,z,30 | 1,x,11 | 2,-,20"},
    {"a new life has nothing of a dropped column",
     SOFT "c 1.1 1 x 10 | d 2.1 1 ~ ~ | @public.t 2 soft *id:i b:i; c 3.1 1 11", "1,-,11"},
    {"an older version comes late",
     SOFT "c 1.1 1 x 10 | @public.t 2 soft *id:i a:s b:i c:s; c 2.1 2 y 20 w |" SOFT
          "c 1.2 3 z 30; c 1.1 1 q 99",
     "1,x,10,- | 3,z,30,- | 2,y,20,w"},
    {"another type does not convert",
     SOFT "c 1.1 1 x 10 | @public.t 2 soft *id:i a:s b:s;"
          "c 2.1 2 y 007",
     "1,x,10 | 2,y,007"},
    {"another type of the key",
     SOFT "c 1.1 1 x 10 | @public.t 2 soft *id:s a:s b:i; u 2.1 1 y 11; c 2.2 01 z 12",
     "1,y,11 | 01,z,12"},
    {"another key",
     SOFT "c 1.1 1 x 10; c 1.2 2 y 20 | @public.t 2 soft id:i *a:s b:i;"
          "u 2.1 1 x 11; d 2.2 ~ y ~; c 2.3 3 z 30",
     "1,x,11 | 2,y,20 !delete@2 | 3,z,30"},
    {"another key: the greater __seq stays",
     SOFT "c 1.1 1 x 10; c 1.2 2 x 20; c 1.3 3 y 30 | @public.t 2 soft id:i *a:s b:i; c 2.1 4 z 40",
     "2,x,20 | 3,y,30 | 4,z,40"},
    {"the key is dropped", SOFT "c 1.1 1 x 10 | @public.t 2 soft id:i a:s b:i; c 2.1 1 x 10",
     "1,x,10 | 1,x,10"},
    {"append becomes soft",
     APPEND "c 1.1 1 x 10; c 1.2 2 y 20 | u 2.1 1 x 11 | t 3.1; c 3.2 3 z 30 |"
            "@public.t 2 soft *id:i a:s b:i; u 4.1 3 z 31",
     "2,y,20 !truncate@3 | 1,x,11 !truncate@3 | 3,z,31"},
    {"soft becomes hard", SOFT "c 1.1 1 x 10; c 1.2 2 y 20 |" HARD "d 2.1 1 ~ ~", "2,y,20"},
    {"names that differ in case only",
     "@public.t 1 soft *id:i a:s A:s; c 1.1 1 x y | u 2.1 1 ~ z |"
     "@public.t 2 soft *id:i a:s A:s B:i b:i; c 3.1 2 p q 1 2",
     "1,x,z,-,- | 2,p,q,1,2"},
    {"odd names", "@public.t 1 soft *i\"d:i rowid:s select:i; c 1.1 1 x 2 | u 2.1 1 ~ 3", "1,x,3"},
};

/* What stands in one commit may be many transactions, and rows of older places between theirs. */
static const struct apply_row span_rows[] = {
    {"span: many transactions in one commit",
     SOFT "c 1.1 1 x 10; u 2.1 1 ~ 11; d 3.1 1 ~ ~ !key_change; c 3.1 2 ~ 12 <1; u 4.1 2 y ~",
     "1,x,11 !key_change@3 | 2,y,12"},
    {"span: key changes of two transactions",
     SOFT "c 1.1 1 x 10; d 2.1 1 ~ ~ !key_change; c 2.1 2 ~ 11 <1;"
          "d 3.1 2 ~ ~ !key_change; c 3.1 3 ~ ~ <2",
     "1,x,10 !key_change@2 | 2,x,11 !key_change@3 | 3,x,11"},
    {"span: the same key leaves twice",
     SOFT "c 1.1 1 x 10; d 2.1 1 ~ ~ !key_change; c 2.1 2 ~ ~ <1; c 3.1 1 y 20;"
          "d 4.1 1 ~ ~ !key_change; c 4.1 3 ~ ~ <1",
     "2,x,10 | 1,y,20 !key_change@4 | 3,y,20"},
    {"span: pushed in a transaction before", SOFT "c 1.1 1 x 10; c 2.1 1 y 11; d 3.1 1 x 10",
     "1,x,10 !delete@3"},
    {"span: a sweep between the halves of a key change",
     SOFT "r 1.s1 1 x 10; r 1.s1 7 q 70; d 5.1 1 ~ ~ !key_change; t 4.s2 !inferred;"
          "c 5.1 2 ~ 11 <1",
     "7,q,70 !inferred@4 | 1,x,10 !key_change@5 | 2,x,11"},
    {"span: a snapshot's row between them",
     SOFT "r 1.s1 1 x 10; d 5.1 1 ~ ~ !key_change; r 4.s2 9 z 90; r 4.s2 1 x 10; c 5.1 2 ~ 11 <1",
     "9,z,90 | 1,x,10 !key_change@5 | 2,x,11"},
    {"span: a sweep of another table between them",
     SOFT "c 1.1 1 x 10; d 5.1 1 ~ ~ !key_change; @public.u 1 soft *id:i; t 4.s2 !inferred;" SOFT
          "c 5.1 2 ~ 11 <1",
     "1,x,10 !key_change@5 | 2,x,11"},
    {"span: a sweep in a statement that moves all keys",
     SOFT "c 1.1 1 x 10; c 1.2 2 y 20; d 5.1 1 x 10 !key_change; c 5.1 2 x 10 <1;"
          "t 4.s2 !inferred; d 5.2 2 y 20 !key_change; c 5.2 3 y 20 <2",
     "1,x,10 !key_change@5 | 2,x,10 | 3,y,20"},
    {"span: hard, a sweep between the halves",
     HARD "r 1.s1 1 x 10; r 1.s1 7 q 70; d 5.1 1 ~ ~ !key_change; t 4.s2 !inferred;"
          "c 5.1 2 ~ 11 <1",
     "2,x,11"},
    {"span: a sweep after newer rows",
     SOFT "r 1.s1 1 x 10; r 1.s1 2 y 20; u 5.1 1 z 11; r 4.s2 1 x 10; t 4.s2 !inferred",
     "2,y,20 !inferred@4 | 1,z,11"},
    {"span: hard, a sweep after newer rows",
     HARD "r 1.s1 1 x 10; r 1.s1 2 y 20; u 5.1 1 z 11; d 5.2 3 ~ ~; t 4.s2 !inferred; r 4.s2 3 w 1",
     "1,z,11"},
    {"span: a sweep older than a truncate",
     SOFT "r 1.s1 1 x 10; c 6.1 2 y 20; t 7.1; c 7.2 3 z 30; t 4.s2 !inferred",
     "1,x,10 !truncate@7 | 2,y,20 !truncate@7 | 3,z,30"},
    {"span: the same range delete again",
     SOFT "c 1.1 1 x 10; t 2.1; t 2.1; c 3.1 2 y 20; t 2.1 | t 2.1", "1,x,10 !truncate@2 | 2,y,20"},
    {"span: append, the same range delete again",
     APPEND "c 1.1 1 x 10; t 2.1; t 2.1 | t 2.1; t 3.1; t 3.1",
     "1,x,10 | -,-,- !truncate@2 | -,-,- !truncate@3"},
    {"span: no key, the same range delete again",
     "@public.t 1 soft a:s; c 1.1 x; t 2.1; t 2.1; c 3.1 y; t 2.s2; t 2.s2",
     "x | - !truncate@2 | - !truncate@2 | y"},
    {"span: commits without rows", SOFT "| | c 1.1 1 x 10 | | u 2.1 1 ~ 11 | ", "1,x,11"},
};

/* A transaction that is cut: its rows come in several commits, perhaps to several processes. */
static const struct apply_row cut_rows[] = {
    {"cut: unsent values", SOFT "c 1.1 1 x 10 | u 1.2 1 ~ 11 | d 1.3 1 ~ ~", "1,x,11 !delete@1"},
    {"cut: between two key changes",
     SOFT "c 1.1 1 x 10 | d 2.1 1 ~ ~ !key_change; c 2.1 2 ~ 11 <1 |"
          "d 2.2 2 ~ ~ !key_change; c 2.2 3 ~ 12 <2",
     "1,x,10 !key_change@2 | 2,x,11 !key_change@2 | 3,x,12"},
    {"cut: a statement that moves all keys",
     SOFT "c 1.1 1 x 10; c 1.2 2 y 20; c 1.3 3 z 30 | d 2.1 1 x 10 !key_change; c 2.1 2 x 10 <1 |"
          "d 2.2 2 y 20 !key_change; c 2.2 3 y 20 <2 | | d 2.3 3 z 30 !key_change; c 2.3 4 z 30 <3",
     "1,x,10 !key_change@2 | 2,x,10 | 3,y,20 | 4,z,30"},
    {"cut: hard, a statement that moves all keys",
     HARD "c 1.1 1 x 10; c 1.2 2 y 20; c 1.3 3 z 30 | d 2.1 1 x 10 !key_change; c 2.1 2 x 10 <1 |"
          "d 2.2 2 y 20 !key_change; c 2.2 3 y 20 <2 | d 2.3 3 z 30 !key_change; c 2.3 4 z 30 <3",
     "2,x,10 | 3,y,20 | 4,z,30"},
    {"cut: several were pushed",
     SOFT "c 1.1 1 x 10; c 1.2 2 y 20; c 1.3 3 z 30 |"
          "c 2.1 1 a 1; c 2.2 2 b 2; c 2.3 3 c 3 | d 2.4 3 z 30; d 2.5 1 x 10 | d 2.6 2 y 20",
     "3,c,3 | 1,a,1 | 2,b,2"},
    {"cut: pushed from another table's key",
     "@public.u 1 soft *id:i a:s b:i; c 1.1 1 x 10;" SOFT "c 1.2 1 x 10 |"
     "@public.u 1 soft *id:i a:s b:i; c 2.1 1 y 11;" SOFT "u 2.2 1 z 12 | d 2.3 1 x 10",
     "1,x,10 !delete@2"},
    {"cut: a sweep after the cut",
     SOFT "c 1.1 1 x 10; c 1.2 2 y 20 | d 5.1 1 x 10 !key_change; c 5.1 2 x 10 <1 |"
          "t 4.s2 !inferred; d 5.2 2 y 20 !key_change; c 5.2 3 y 20 <2",
     "1,x,10 !key_change@5 | 2,x,10 | 3,y,20"},
    {"cut: a pushed row of every kind",
     "@public.t 1 soft *id:i s:s e:s n:i f:f g:f y:b z:z; c 1.1 1 ab '' - 0.1 nan cd 7 |"
     "c 2.1 1 x x 1 1 1 x 1 | d 2.2 1 ab '' - 0.1 nan cd 7",
     "1,x,x,1,1.0,1.0,x,2024-01-01T00:00:01.000000Z"},
    {"cut: of two columns' keys",
     "@public.t 1 soft *k:s *n:i a:s; c 1.1 one 1 x | c 2.1 one 1 y | d 2.2 one 1 x", "one,1,y"},
};

static void run_steps(struct db *db, const char *script)
{
    char *part = strdup(script);
    for (char *bar = part; bar; bar = bar ? bar + 1 : NULL) {
        bar = strchr(bar, '|');
        if (bar)
            *bar = '\0';
        db_must(db, part);
        if (!bar)
            break;
        *bar = '|';
    }
    free(part);
}

static void test_apply(void **state)
{
    const struct apply_row *row = *state;
    struct db db;
    db_init(&db);
    db_must(&db, row->script);
    assert_string_equal(db_dump(&db, "public.t"), row->expect);
    db_clear(&db);
    run_steps(&db, row->script);
    assert_string_equal(db_dump(&db, "public.t"), row->expect);
    db_done(&db);
}

int main(void)
{
    struct CMUnitTest tests[192], *end = tests;
    end = CM_ROWS(end, test_apply, soft_rows);
    end = CM_ROWS(end, test_apply, logical_rows);
    end = CM_ROWS(end, test_apply, range_rows);
    end = CM_ROWS(end, test_apply, key_rows);
    end = CM_ROWS(end, test_apply, mode_rows);
    end = CM_ROWS(end, test_apply, shape_rows);
    end = CM_ROWS(end, test_apply, span_rows);
    end = CM_ROWS(end, test_apply, cut_rows);
    return _cmocka_run_group_tests("replica_apply", tests, (size_t)(end - tests), NULL, NULL);
}
