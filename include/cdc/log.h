/*
 * log.h - one line per event, to standard error, as text or JSON.
 *
 * Errors travel upwards in a cdc_error and are logged once, by the pipeline or the command. What a
 * connector may log itself are facts of its own that nobody else can tell (a slot made, a table
 * joined, a notice of the server) at info or warn. Never a row's value, never a secret.
 * Threads: any.
 */
#ifndef CDC_LOG_H
#define CDC_LOG_H

enum cdc_log_level { CDC_LOG_ERROR, CDC_LOG_WARN, CDC_LOG_INFO, CDC_LOG_DEBUG };

void cdc_log(enum cdc_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
