/* The Range header (RFC 9110, section 14.2): a pure function. */
#ifndef LARDER_VOLUME_RANGE_H
#define LARDER_VOLUME_RANGE_H

#include <stdint.h>

#include "common/attr.h"

/* A server may always send all of it (RFC 9110, 14.2); so what is not understood costs bytes, and
 * never the right answer. */
enum range_result {
    RANGE_WHOLE,        /* no range, one that cannot be read, or several: send all of it, 200 */
    RANGE_PART,         /* *offset, *length: 206 */
    RANGE_UNSATISFIABLE /* outside of the value: 416 */
};

/* `header` may be NULL. `size` is that of the value in bytes. A range that goes beyond the end is
 * clamped. Several ranges are RANGE_WHOLE, but RANGE_UNSATISFIABLE where each of them is. */
enum range_result range_parse(const char *header, uint64_t size, uint64_t *offset,
                              uint64_t *length) MUST_CHECK;

#endif
