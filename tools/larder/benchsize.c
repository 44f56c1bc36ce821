/*
 * --size, and the size of a value. A size comes from the value's own random bits and not from a row
 * of random numbers: so whoever reads a key later, in any order, knows how long its value is.
 */
#include "tools/larder/benchsize.h"

#include <math.h>
#include <string.h>

/* 1 TiB: beyond that it is a slip, and sums of sizes stay far from 2^64. */
static const uint64_t largest = (uint64_t)1 << 40;

/* "64", "64k", "64KiB"; moves *text behind it. 0: none, too large, or no size. */
static uint64_t take_bytes(const char **text)
{
    static const char units[] = "kmgt";
    uint64_t bytes = 0;
    const char *at = *text;
    for (; *at >= '0' && *at <= '9'; at++) {
        bytes = bytes * 10 + (uint64_t)(*at - '0');
        if (bytes > largest)
            return 0;
    }
    const char *unit = *at ? strchr(units, *at | 0x20) : NULL;
    if (unit && *unit) {
        unsigned shift = 10 * (unsigned)(unit - units + 1);
        bytes = bytes <= largest >> shift ? bytes << shift : 0;
        at++;
        at += *at == 'i';
    }
    at += *at == 'B';
    *text = at;
    return bytes;
}

/* 0: none, or too large. The bound keeps the sum of all parts below 2^32, of which benchsize_of()
 * takes a remainder. */
static uint64_t take_weight(const char **text)
{
    uint64_t weight = 0;
    for (; **text >= '0' && **text <= '9' && weight <= 1000000; (*text)++)
        weight = weight * 10 + (uint64_t)(**text - '0');
    return weight <= 1000000 ? weight : 0;
}

/* One part, up to a comma or the end. */
static bool take_part(struct benchsize_part *part, const char **text, const char **why)
{
    *why = "a size is a number from 1 to 1T with k, M, G or nothing behind it";
    part->min = part->max = take_bytes(text);
    part->weight = 1;
    if (**text == '-') {
        (*text)++;
        part->max = take_bytes(text);
    }
    if (!part->min || !part->max)
        return false;
    if (part->max < part->min) {
        *why = "the first size of a range is the smaller one";
        return false;
    }
    if (**text == ':') {
        *why = "a weight is a number from 1 to 1000000";
        (*text)++;
        part->weight = take_weight(text);
    }
    return part->weight > 0 && (**text == ',' || **text == 0);
}

/* `why` is set beforehand in each step to what would be wrong if it failed. */
bool benchsize_parse(struct benchsize *size, const char *text, const char **why)
{
    memset(size, 0, sizeof *size);
    for (;;) {
        if (size->count == BENCHSIZE_PARTS) {
            *why = "there may be 16 parts at most";
            return false;
        }
        struct benchsize_part *part = &size->parts[size->count];
        if (!take_part(part, &text, why))
            return false;
        size->count++;
        size->weights += part->weight;
        if (!*text)
            return true;
        text++;
    }
}

/* min * (max / min)^u, u from 0 to 1: the logarithm is uniform. Rounding may lead out of the range.
 */
static uint64_t within(const struct benchsize_part *part, uint64_t random)
{
    if (part->min == part->max)
        return part->min;
    double u = (double)(random >> 32) / (double)UINT32_MAX;
    double ratio = (double)part->max / (double)part->min;
    uint64_t bytes = (uint64_t)llround((double)part->min * pow(ratio, u));
    return bytes < part->min ? part->min : bytes > part->max ? part->max : bytes;
}

uint64_t benchsize_of(const struct benchsize *size, uint64_t random)
{
    /* The low half chooses the part, the high half the size within it. */
    uint64_t chosen = (random & UINT32_MAX) % size->weights;
    size_t i = 0;
    while (chosen >= size->parts[i].weight)
        chosen -= size->parts[i++].weight;
    return within(&size->parts[i], random);
}
