/*
 * The layout of a value with hash h: bytes 0 to 7 are h, big-endian; byte i from there on is
 * bytes[(h + i) % PERIOD]. So whatever part of it is wanted stands in memory already, in at most
 * one piece more than it has turns of the sequence, and neither sending nor comparing makes
 * anything.
 *
 * Two values differ in their first eight bytes, and begin at different places of the sequence. A
 * block of one that turns up in the other, or at another offset of its own, is therefore seen.
 */
#include "tools/larder/benchvalue.h"

#include <stdlib.h>
#include <string.h>

enum { PERIOD = 1048583 }; /* bytes; the first prime above 2^20: no block size divides it */

struct benchvalues {
    uint64_t seed;
    unsigned char bytes[PERIOD];
};

/* Sebastiano Vigna's splitmix64.c, as published. */
uint64_t benchvalue_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* Random, so that neither a disk nor a file system makes less of it. */
struct benchvalues *benchvalues_new(uint64_t seed)
{
    struct benchvalues *values = malloc(sizeof *values);
    if (!values)
        return NULL;
    values->seed = seed;
    uint64_t state = seed;
    for (size_t i = 0; i < PERIOD; i += sizeof state) {
        uint64_t word = benchvalue_random(&state);
        size_t room = PERIOD - i;
        memcpy(values->bytes + i, &word, room < sizeof word ? room : sizeof word);
    }
    return values;
}

void benchvalues_free(struct benchvalues *values)
{
    free(values);
}

void benchvalue_of(const struct benchvalues *values, const void *key, size_t len,
                   struct benchvalue *value)
{
    /* FNV-1a (Fowler, Noll, Vo), whose high bits are poor, so it is stirred once more. */
    const unsigned char *bytes = key;
    uint64_t hash = 0xcbf29ce484222325ULL ^ values->seed;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
    value->hash = benchvalue_random(&hash);
    for (size_t i = 0; i < BENCHVALUE_FRONT; i++)
        value->front[i] = (unsigned char)(value->hash >> (56 - 8 * i));
}

/* The bytes that stand together at `offset`, at most up to `size`. iovec has no const; nobody
 * writes through it. */
static struct iovec piece(const struct benchvalues *values, const struct benchvalue *value,
                          uint64_t offset, uint64_t size)
{
    const unsigned char *at = value->front + offset;
    uint64_t room = BENCHVALUE_FRONT - offset;
    if (offset >= BENCHVALUE_FRONT) {
        size_t place = (size_t)((value->hash + offset) % PERIOD);
        at = values->bytes + place;
        room = PERIOD - place;
    }
    uint64_t left = size - offset;
    return (struct iovec){(void *)(uintptr_t)at, (size_t)(room < left ? room : left)};
}

int benchvalue_pieces(const struct benchvalues *values, const struct benchvalue *value,
                      uint64_t offset, uint64_t size, struct iovec *pieces, int max)
{
    int count = 0;
    while (count < max && offset < size) {
        pieces[count] = piece(values, value, offset, size);
        offset += pieces[count++].iov_len;
    }
    return count;
}

/* The bytes are compared where they are: this is a memcmp() and little else. */
bool benchvalue_matches(const struct benchvalues *values, const struct benchvalue *value,
                        uint64_t offset, const void *data, size_t len)
{
    const unsigned char *at = data;
    uint64_t end = offset + len;
    while (offset < end) {
        struct iovec part = piece(values, value, offset, end);
        if (memcmp(at, part.iov_base, part.iov_len) != 0)
            return false;
        at += part.iov_len;
        offset += part.iov_len;
    }
    return true;
}

enum status benchvalue_md5(const struct benchvalues *values, const struct benchvalue *value,
                           uint64_t size, char hex[MD5_HEX + 1])
{
    unsigned char digest[MD5_SIZE];
    struct md5 *md5 = md5_new();
    if (!md5)
        return ST_NO_MEMORY;
    for (uint64_t offset = 0; offset < size;) {
        struct iovec part = piece(values, value, offset, size);
        md5_update(md5, part.iov_base, part.iov_len);
        offset += part.iov_len;
    }
    enum status st = md5_finish(md5, digest);
    if (!st)
        md5_hex(digest, hex);
    md5_free(md5);
    return st;
}
