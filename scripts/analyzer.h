/*
 * analyzer.h - put before every file by tidy.sh and cppcheck.sh: tells them what they cannot see
 * from one file alone, that these always return CDC_FAIL. Without it each `return cdc_fail(...)`
 * might have been a success with nothing returned.
 */
#include "cdc/error.h"

#define cdc_fail(...)     (cdc_fail(__VA_ARGS__), CDC_FAIL)
#define cdc_fail_in(...)  (cdc_fail_in(__VA_ARGS__), CDC_FAIL)
#define cdc_fail_oom(err) (cdc_fail_oom(err), CDC_FAIL)
