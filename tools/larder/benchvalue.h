/*
 * The values that `larder bench` writes, made from the key and a seed, so that whoever reads them
 * knows every byte without keeping any. A value is 8 bytes that are its key's own, and then a
 * stretch of a fixed sequence of random bytes, from a place that the key chooses. The sequence
 * repeats after a prime number of bytes (a little more than 1 MiB), so that blocks that were
 * mistaken for others, or moved, do not look right. Nothing is made when it is sent or compared.
 */
#ifndef LARDER_TOOLS_BENCHVALUE_H
#define LARDER_TOOLS_BENCHVALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/attr.h"
#include "common/md5.h"
#include "common/status.h"

enum { BENCHVALUE_FRONT = 8 };

struct benchvalues;

/* Which value. Made from the key; copied freely. */
struct benchvalue {
    uint64_t hash; /* of key and seed; random bits, for sizes too */
    unsigned char front[BENCHVALUE_FRONT];
};

/* The sequence of a seed; it does not change, so any number of threads may use it. NULL: no memory.
 */
struct benchvalues *benchvalues_new(uint64_t seed) MUST_CHECK;
void benchvalues_free(struct benchvalues *values);

/* The next of a row of random numbers (splitmix64, public domain, by Sebastiano Vigna). */
uint64_t benchvalue_random(uint64_t *state);

/* Fills *value for a key (`len` raw bytes); the same key and seed, the same value. */
void benchvalue_of(const struct benchvalues *values, const void *key, size_t len,
                   struct benchvalue *value);

/* Points at the bytes `offset` to `size` of a value in up to `max` pieces, and returns how many
 * pieces; they may end before `size`. They belong to `value` and `values`. */
int benchvalue_pieces(const struct benchvalues *values, const struct benchvalue *value,
                      uint64_t offset, uint64_t size, struct iovec *pieces, int max) MUST_CHECK;

/* True where `data` is what stands at `offset` of the value. */
bool benchvalue_matches(const struct benchvalues *values, const struct benchvalue *value,
                        uint64_t offset, const void *data, size_t len) MUST_CHECK;

/* The MD5 of the value with `size` bytes, in lower-case hex. ST_NO_MEMORY, or ST_INTERNAL where the
 * library fails. */
enum status benchvalue_md5(const struct benchvalues *values, const struct benchvalue *value,
                           uint64_t size, char hex[MD5_HEX + 1]) MUST_CHECK;

#endif
