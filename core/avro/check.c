/*
 * check.c - see avro/check.h. The only file that knows Avro-C.
 *
 * Avro-C keeps its error text in one process-wide buffer, so the call and the copy of the text
 * happen under one lock.
 */
#include "avro/check.h"

#include <avro/errors.h>
#include <avro/schema.h>
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int cdc_avro_check(struct cdc_slice schema, struct cdc_error *err)
{
    avro_schema_t parsed = NULL;
    int rc = CDC_OK;
    pthread_mutex_lock(&lock);
    if (!schema.p || avro_schema_from_json_length((const char *)schema.p, schema.len, &parsed))
        rc = cdc_fail(err, CDC_FATAL, "",
                      "Avro-C does not accept the schema text: %s; this is a bug, please report it "
                      "with the table's definition",
                      schema.p ? avro_strerror() : "there is none");
    else
        avro_schema_decref(parsed);
    pthread_mutex_unlock(&lock);
    return rc;
}
