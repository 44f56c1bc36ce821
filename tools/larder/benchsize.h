/*
 * Sizes of values, as --size has them:
 *
 *   1K                    all alike
 *   1K-1M                 log-uniform: every factor of two is as likely as another
 *   1K:70,64K-1M:25,8M:5  a mixture; the numbers are weights
 */
#ifndef LARDER_TOOLS_BENCHSIZE_H
#define LARDER_TOOLS_BENCHSIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

enum { BENCHSIZE_PARTS = 16 };

struct benchsize {
    struct benchsize_part {
        uint64_t min, max; /* bytes, 1 <= min <= max */
        uint64_t weight;   /* >= 1 */
    } parts[BENCHSIZE_PARTS];
    size_t count;
    uint64_t weights; /* their sum */
};

/* False where the text is none; *why (a constant) then says what is wrong with it. */
bool benchsize_parse(struct benchsize *size, const char *text, const char **why) MUST_CHECK;

/* The size that belongs to 64 random bits: the same bits, the same size. */
uint64_t benchsize_of(const struct benchsize *size, uint64_t random) MUST_CHECK;

#endif
