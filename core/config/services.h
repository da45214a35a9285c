/*
 * services.h - `registry:` and `http:`: their tables, and what of them cannot be said together.
 *
 * The tables check each option alone; cdc_services_check looks at what one needs or rules out of
 * the others, so that a registry that would never be asked, or a face open to everybody, is found
 * before anything starts.
 */
#ifndef CDC_CONFIG_SERVICES_H
#define CDC_CONFIG_SERVICES_H

#include "config/section.h"

extern const struct cdc_option cdc_registry_table[], cdc_http_table[]; /* end in {0} */

/* top: the section of the whole file, with options `registry` and `http`. Fails: CDC_CONFIG. */
CDC_CHECK int cdc_services_check(const struct cdc_doc *doc, const struct cdc_section *top,
                                 struct cdc_error *err);

#endif
