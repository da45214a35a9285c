/*
 * fsck.c - `sidestream fsck`: is what a sink holds whole (a lake's files: what its log says)?
 *
 * Changes nothing. Exit 1 where a finding is damage, 3 where it could not be looked at.
 */
#include "cli/cli.h"
#include "cli/place.h"

/* Before it is opened: that may take a while. */
static int check_slot(const struct cdc_place *place, struct cdc_error *err)
{
    if (place->ops->fsck)
        return CDC_OK;
    return cdc_fail(err, CDC_CONFIG, place->name, "this sink has nothing that fsck could check");
}

static int fsck(struct cdc_place *place, struct cdc_error *err)
{
    struct cdc_report *report = cdc_report_new(stdout);
    if (!report && cdc_fail_oom(err))
        return cdc_cli_exit(err);
    int status = place->ops->fsck(place->feed, report, err);
    size_t bad = cdc_report_count(report, CDC_BAD);
    cdc_report_free(report);
    if (status == CDC_FAIL)
        return cdc_cli_exit(err);
    return bad ? CDC_EXIT_FAILED : CDC_EXIT_OK;
}

int cdc_cmd_fsck(int argc, char **argv)
{
    struct cdc_error err = {0};
    struct cdc_args args;
    struct cdc_place place = {0};
    int status = cdc_args_read("fsck", argc, argv, &args, &err);
    if (!status)
        status = cdc_place_find(args.place, &place, &err) || check_slot(&place, &err) ||
                 cdc_place_open(&place, &(struct cdc_feed_start){0}, &err);
    int code = status ? cdc_cli_exit(&err) : fsck(&place, &err);
    cdc_place_close(&place);
    return code;
}
