/* A hash for tables in memory; not for anything that is kept or sent. */
#ifndef LARDER_COMMON_HASH_H
#define LARDER_COMMON_HASH_H

#include <stddef.h>
#include <stdint.h>

/* A number that strangers do not know, so that they cannot choose what collides. */
uint64_t hash_seed(void);
/* Each bit of it depends on many of the bytes and of the seed. */
uint64_t hash_bytes(uint64_t seed, const char *bytes, size_t len);

#endif
