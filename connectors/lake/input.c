/*
 * input.c - one data file as a reader meets it: compared with what its commit says, then decoded.
 *
 * Nothing of it is given before its size and SHA-256 were found right. A file may go away under a
 * reader that is not registered (trim.c); that is told as damage here, and the feed knows better.
 */
#include "lake.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK ((size_t)256 << 10)

int lake_damage(struct cdc_error *err, const struct lake_file *file, const char *what)
{
    return cdc_fail(err, CDC_FATAL, file->path,
                    "%s: the data file is damaged. Restore it from a copy of the lake; "
                    "`sidestream fsck` finds all such",
                    what);
}

int lake_input_verify(struct lake_store *st, const struct lake_file *file, struct cdc_error *err)
{
    uint64_t bytes = 0;
    int rc = st->ops->size(st, file->path, &bytes, err);
    if (rc < 0)
        return CDC_FAIL;
    if (rc == CDC_END)
        return lake_damage(err, file, "it is not there");
    if (bytes != file->bytes) {
        char what[96];
        snprintf(what, sizeof what, "%" PRIu64 " bytes, its commit says %" PRIu64, bytes,
                 file->bytes);
        return lake_damage(err, file, what);
    }
    uint8_t sum[32];
    char hex[65];
    void *chunk = malloc(CHUNK);
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    rc = chunk && sha && EVP_DigestInit_ex(sha, EVP_sha256(), NULL) ? CDC_OK : cdc_fail_oom(err);
    for (uint64_t off = 0; rc == CDC_OK && off < bytes;) {
        struct lake_read io = {.off = off, .p = chunk, .cap = CHUNK};
        rc = st->ops->read(st, file->path, &io, err);
        if (rc != CDC_OK || io.n == 0)
            break;
        if (!EVP_DigestUpdate(sha, chunk, io.n))
            rc = cdc_fail_oom(err);
        off += io.n;
    }
    if (rc == CDC_OK) {
        rc = EVP_DigestFinal_ex(sha, sum, NULL) ? CDC_OK : cdc_fail_oom(err);
        lake_hex(sum, sizeof sum, hex);
    }
    if (rc == CDC_OK && strcmp(hex, file->sha256) != 0)
        rc = lake_damage(err, file, "its SHA-256 is not the one its commit says");
    EVP_MD_CTX_free(sha);
    free(chunk);
    return rc == CDC_END ? lake_damage(err, file, "it went away") : rc;
}

static int input_bytes(void *arg, void *p, size_t cap, size_t *ret_n, struct cdc_error *err)
{
    struct lake_input *in = arg;
    struct lake_read io = {.off = in->off, .p = p, .cap = cap};
    int rc = in->st->ops->read(in->st, in->file->path, &io, err);
    if (rc == CDC_END)
        return lake_damage(err, in->file, "it went away");
    in->off += io.n;
    *ret_n = io.n;
    return rc;
}

int lake_input_open(struct lake_input *in, struct cdc_avro_reader **ret, struct cdc_error *err)
{
    return cdc_avro_reader_new(input_bytes, in, LAKE_BLOCK_MAX, in->file->path, ret, err);
}
