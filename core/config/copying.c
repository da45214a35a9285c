/* copying.c - see config/copying.h. */
#include "config/copying.h"

const struct cdc_option cdc_copying_table[] = {
    {.name = "mode",
     .type = CDC_OPT_CHOICE,
     .choices = "auto|ranged",
     .dflt = "auto",
     .doc = "`auto`: at the start of a pipeline all tables are copied as of one moment, then the "
            "stream begins; `ranged`: the stream goes on from the first, and ranges of rows are "
            "put between its changes, as is always done later."},
    {.name = "threads",
     .type = CDC_OPT_INT,
     .dflt = "2",
     .min = 1,
     .max = 32,
     .doc = "Connections that read tables, all at once; one table can use all of them. One more "
            "plans."},
    {.name = "range_bytes",
     .type = CDC_OPT_SIZE,
     .dflt = "64MiB",
     .min = 1024,
     .max = (int64_t)1 << 40,
     .doc =
         "Tables are cut into ranges of about this size at most, where they can be cut, and of a "
         "fortieth of the table for each thread. What was being read at a crash is read again."},
    {.name = "rate",
     .type = CDC_OPT_SIZE,
     .dflt = "0",
     .doc = "Bytes of rows read in a second, by all connections together. 0: as fast as it goes."},
    {.name = "max_log",
     .type = CDC_OPT_SIZE,
     .dflt = "0",
     .doc = "Reading is interrupted when the source keeps more of its log than this because of the "
            "pipeline; the stream catches up, and the rest is read in ranges. 0: no bound."},
    {.name = "max_age",
     .type = CDC_OPT_DURATION,
     .dflt = "0",
     .doc = "The same when one view of the source's data was held longer than this: it keeps old "
            "row versions from being removed. 0: no bound."},
    {0},
};
