/*
 * avro.h - Avro object container files, written and read (Avro specification 1.11, "Object
 * Container Files"), and the rows of the `row` envelope out of them.
 *
 * Writer: magic, metadata (avro.schema verbatim, avro.codec, any cdc.* keys), a random sync marker,
 * then blocks of records that the caller encodes straight into the block. Reader: for files of
 * anybody; every size in them is checked against a limit before it is believed.
 * Not for: schema resolution. A file is read with the schema it was written with.
 *
 * Codecs: null, deflate (raw, RFC 1951), zstandard (one frame a block).
 * Ownership: the caller owns the object and frees it; lent memory lives until the next call.
 * Threads: one object, one thread.
 */
#ifndef CDC_AVRO_H
#define CDC_AVRO_H

#include "cdc/map.h"
#include "cdc/value.h"

enum cdc_codec { CDC_CODEC_NULL, CDC_CODEC_DEFLATE, CDC_CODEC_ZSTD };
#define CDC_CODEC_NAMES "null|deflate|zstandard"
const char *cdc_codec_name(enum cdc_codec codec);

/* Where the bytes of a file go. CDC_OK or CDC_FAIL; a short write is the callee's to finish. */
typedef int cdc_avro_out(void *arg, const void *p, size_t n, struct cdc_error *err);
/* Where they come from: up to cap bytes into p, *ret_n 0 at the end. */
typedef int cdc_avro_in(void *arg, void *p, size_t cap, size_t *ret_n, struct cdc_error *err);

struct cdc_avro_writer_options {
    struct cdc_slice schema;
    enum cdc_codec codec;
    int level;                 /* deflate 1..12, zstandard 1..19; 0: the codec's default (1; 3) */
    size_t block_bytes;        /* a block is closed once it holds this many (before compression) */
    size_t max_bytes;          /* a single record may grow a block up to this */
    const struct cdc_kv *meta; /* further metadata keys, n_meta of them */
    size_t n_meta;
    cdc_avro_out *out;
    void *arg;
};

struct cdc_avro_writer;

/* Writes the header at once. *ret only with CDC_OK. */
CDC_CHECK int cdc_avro_writer_new(const struct cdc_avro_writer_options *opt,
                                  struct cdc_avro_writer **ret, struct cdc_error *err);
/* The open block: append exactly one record to it, then call _end (or _cancel to take it back). */
struct cdc_buf *cdc_avro_writer_begin(struct cdc_avro_writer *w);
CDC_CHECK int cdc_avro_writer_end(struct cdc_avro_writer *w, struct cdc_error *err);
void cdc_avro_writer_cancel(struct cdc_avro_writer *w);
/* Closes the open block, if it holds records. Gives its memory back when `shrink`. */
CDC_CHECK int cdc_avro_writer_flush(struct cdc_avro_writer *w, bool shrink, struct cdc_error *err);
uint64_t cdc_avro_writer_bytes(const struct cdc_avro_writer *w);   /* handed to out so far */
uint64_t cdc_avro_writer_records(const struct cdc_avro_writer *w); /* ended so far */
size_t cdc_avro_writer_memory(const struct cdc_avro_writer *w);    /* held by buffers */
void cdc_avro_writer_free(struct cdc_avro_writer *w); /* NULL is fine; flushes nothing */

/*
 * One column of a row as its schema describes it, meta columns included.
 */
enum cdc_meta {
    CDC_META_NONE, /* a column of the source */
    CDC_META_OP,
    CDC_META_DELETED,
    CDC_META_DELETED_AT,
    CDC_META_DELETE_REASON,
    CDC_META_UPDATED_AT,
    CDC_META_SOURCE_UPDATED_AT,
    CDC_META_SYNCED_AT,
    CDC_META_SEQ,
    CDC_META_TX,
    CDC_META_UNCHANGED,
    CDC_META_INVALID,
    CDC_META_PREV_KEY,
    CDC_METAS
};

struct cdc_row_column {
    const char *name; /* the source's name (attribute cdc.column where Avro's differs) */
    enum cdc_meta meta;
    enum cdc_kind kind; /* INT (bits), FLOAT, DECIMAL, TEXT, ...; ARRAY of text for __unchanged */
    uint8_t bits, precision;
    int16_t scale;
    uint16_t size;      /* DECIMAL on fixed: bytes */
    enum cdc_kind item; /* ARRAY */
    bool nullable;      /* a union with null */
    uint16_t key;       /* 1, 2, ...: place in the key; 0: not in it */
};

struct cdc_row_schema {
    const char *table_schema, *table_name;
    uint32_t version; /* of the table */
    uint16_t n, n_key;
    const struct cdc_row_column *cols;
    int16_t meta[CDC_METAS]; /* index of each meta column, -1: not there */
    const uint16_t *key;     /* n_key indexes into cols */
    uint64_t stamp;          /* differs between any two schemas of one process */
};

/*
 * Understands a schema text of the `row` envelope. CDC_FAIL (CDC_FATAL): not JSON, or not such a
 * schema; err names the field. Free with cdc_row_schema_free.
 */
CDC_CHECK int cdc_row_schema_parse(struct cdc_slice text, struct cdc_row_schema **ret,
                                   struct cdc_error *err);
void cdc_row_schema_free(struct cdc_row_schema *schema);

/*
 * One record of such a schema out of its Avro binary: schema->n values, whose memory is the arena's
 * or in `bytes` itself. CDC_FAIL (CDC_FATAL): cut short, bytes left over, or no such record; err
 * names the column.
 */
CDC_CHECK int cdc_row_read(const struct cdc_row_schema *schema, struct cdc_slice bytes,
                           struct cdc_arena *arena, struct cdc_value *values,
                           struct cdc_error *err);

struct cdc_avro_reader;

/*
 * Reads the header. max_bytes bounds any block, compressed or not. `where` (copied) names the file
 * in errors; all damage is CDC_FATAL and says at which byte.
 */
CDC_CHECK int cdc_avro_reader_new(cdc_avro_in *in, void *arg, size_t max_bytes, const char *where,
                                  struct cdc_avro_reader **ret, struct cdc_error *err);
struct cdc_slice cdc_avro_reader_meta(const struct cdc_avro_reader *r, const char *key);
/* Parsed from the file's schema at the first call; owned by the reader. */
CDC_CHECK int cdc_avro_reader_schema(struct cdc_avro_reader *r, const struct cdc_row_schema **ret,
                                     struct cdc_error *err);
/* The next row: schema->n values, valid until the next call. CDC_END: the file ended cleanly. */
CDC_CHECK int cdc_avro_reader_row(struct cdc_avro_reader *r, const struct cdc_value **ret,
                                  struct cdc_error *err);
void cdc_avro_reader_free(struct cdc_avro_reader *r);

#endif
