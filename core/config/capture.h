/*
 * capture.h - reading `capture:` into rules. Matching is in cdc/config.h.
 */
#ifndef CDC_CONFIG_CAPTURE_H
#define CDC_CONFIG_CAPTURE_H

#include "cdc/config.h"
#include "config/node.h"

CDC_CHECK int cdc_capture_read(const struct cdc_doc *doc, const struct cdc_entry *entry,
                               struct cdc_capture **ret, struct cdc_error *err);

#endif
