/*
 * murmur2.c - the hash by which the Java client chooses partitions.
 *
 * Kafka's Utils.murmur2 (MurmurHash2, 32 bits, seed 0x9747b28c, little endian), and its
 * `toPositive(hash) % partitions`. Records of ours and of a Java producer with the same key bytes
 * meet in the same partition.
 */
#include "kafka.h"

#define MIX 0x5bd1e995u

static uint32_t word(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t kfk_murmur2(struct cdc_slice bytes)
{
    const uint8_t *p = bytes.p;
    size_t left = bytes.len;
    uint32_t h = 0x9747b28cu ^ (uint32_t)left;
    for (; left >= 4; p += 4, left -= 4) {
        uint32_t k = word(p) * MIX;
        h = h * MIX ^ (k ^ k >> 24) * MIX;
    }
    if (left > 2)
        h ^= (uint32_t)p[2] << 16;
    if (left > 1)
        h ^= (uint32_t)p[1] << 8;
    if (left > 0)
        h = (h ^ p[0]) * MIX;
    h = (h ^ h >> 13) * MIX;
    return h ^ h >> 15;
}

int32_t kfk_partition(struct cdc_slice bytes, int32_t partitions)
{
    return (int32_t)(kfk_murmur2(bytes) & 0x7fffffffu) % partitions;
}
