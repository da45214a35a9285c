/*
 * copying.h - `snapshot:`: how tables are copied, for all rules (core/snapshot).
 */
#ifndef CDC_CONFIG_COPYING_H
#define CDC_CONFIG_COPYING_H

#include "config/section.h"

extern const struct cdc_option cdc_copying_table[]; /* ends in {0} */

#endif
