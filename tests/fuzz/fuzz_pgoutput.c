/*
 * fuzz_pgoutput.c - CopyData frames of a replication stream: frame, message, and each text cell
 * through the parser of every type. Corpus: tests/data/pgoutput/.
 */
#include <stdlib.h>
#include <string.h>

#include "../../connectors/postgres/decode.h"
#include "../../connectors/postgres/position.h"
#include "../../connectors/postgres/types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct pgs_room room;

/* Each parser works on a copy of its own: in place, and of exactly that length. */
static void parse_cell(const struct pgs_cell *cell)
{
    static const uint32_t oids[] = {16,  17,   20,   21,   25,   114,  700,
                                    701, 1082, 1083, 1114, 1184, 1700, 2950};
    for (size_t i = 0; i < sizeof oids / sizeof oids[0]; i++) {
        struct cdc_column col = {.name = "c"};
        struct cdc_value val;
        uint8_t *copy = malloc(cell->len ? cell->len : 1);
        if (!copy)
            abort();
        memcpy(copy, cell->p, cell->len);
        pgs_type_apply(pgs_type_by_oid(oids[i]), (12 << 16 | 2) + 4, &col);
        if (pgs_parser(&col)(&col, copy, cell->len, &val) == CDC_OK && val.kind == CDC_DECIMAL &&
            (val.len < 1 || val.len > 16))
            abort();
        free(copy);
    }
}

static void parse_cells(const struct pgs_cell *cells, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++)
        if (cells[i].kind == 't')
            parse_cell(&cells[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pgs_frame frame;
    struct pgs_msg msg;
    struct pgs_pos pos;
    char text[PGS_POS_TEXT];
    if (pgs_pos_parse(cdc_slice_of(data, size), &pos) == CDC_OK)
        pgs_pos_format(&pos, text);
    if (pgs_decode_frame(cdc_slice_of(data, size), &frame, NULL) != CDC_OK || frame.kind != 'w')
        return 0;
    size_t len = size - frame.payload;
    uint8_t *bytes = malloc(len ? len : 1);
    if (!bytes)
        abort();
    memcpy(bytes, data + frame.payload, len);
    if (pgs_decode(bytes, len, &room, &msg, NULL) == CDC_OK) {
        if (msg.type == 'I' || msg.type == 'U' || msg.type == 'D') {
            parse_cells(msg.row.before, msg.row.n_before);
            parse_cells(msg.row.after, msg.row.n_after);
        }
        for (uint32_t i = 0; msg.type == 'T' && i < msg.truncate.n; i++)
            (void)pgs_truncate_oid(&msg, i);
    }
    free(bytes);
    return 0;
}
