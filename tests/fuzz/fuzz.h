/* What every fuzz target has: its entry, and a check that stops libFuzzer with the input at hand.
 */
#ifndef LARDER_TESTS_FUZZ_FUZZ_H
#define LARDER_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Unlike assert, it is there in every build. */
static inline void check(int holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

#endif
