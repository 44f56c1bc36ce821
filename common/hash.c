#include "common/hash.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Where the kernel has no numbers yet the time must do. */
uint64_t hash_seed(void)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number)
        number = (uint64_t)time(NULL) * 0x9e3779b97f4a7c15;
    return number;
}

/* Both halves of the product of 64 bits by 64: each bit of it depends on many of both. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(uint64_t seed, const char *bytes, size_t len)
{
    uint64_t hash = seed ^ len;
    uint64_t word = 0;
    for (; len >= sizeof word; bytes += sizeof word, len -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        hash = mix(hash ^ word, 0x9e3779b97f4a7c15);
    }
    word = 0;
    memcpy(&word, bytes, len);
    return mix(mix(hash ^ word, 0xd6e8feb86659fd93), seed | 1);
}
