/* crash.c - see cdc/crash.h. */
#include "cdc/crash.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

bool cdc_crash_armed;
static char point[64];
static atomic_int passages_left;

void cdc_crash_init(void)
{
    const char *spec = getenv("SIDESTREAM_CRASH");
    if (!spec || !*spec || strlen(spec) >= sizeof point)
        return;
    memcpy(point, spec, strlen(spec) + 1);
    char *colon = strchr(point, ':');
    int n = 1;
    if (colon) {
        *colon = 0;
        n = atoi(colon + 1);
    }
    atomic_init(&passages_left, n > 0 ? n : 1);
    cdc_crash_armed = true;
}

void cdc_crash_at(const char *name)
{
    if (strcmp(name, point) == 0 && atomic_fetch_sub(&passages_left, 1) == 1)
        raise(SIGKILL);
}
