/*
 * One range only is answered as a part. Several would need multipart/byteranges, which clients of
 * values do not use, and many small or overlapping ones are a known way to make a server work:
 * sending all of it once is allowed and bounded.
 */
#include "volume/range.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* What one element of the list is: no range, one that the value does not have, one that it has. */
enum one { ONE_BAD, ONE_OUTSIDE, ONE_INSIDE };

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t");
}

/* Reads digits; a number that is too large becomes the largest there is. False without digits. */
static bool read_number(const char **at, uint64_t *number)
{
    const char *from = *at;
    *number = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        uint64_t digit = (uint64_t)(**at - '0');
        *number = *number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *number * 10 + digit;
    }
    return *at != from;
}

/* "-500": the last bytes; all of a value that has fewer. None are no range of anything. */
static enum one suffix_range(uint64_t wanted, uint64_t size, uint64_t *offset, uint64_t *length)
{
    if (wanted == 0 || size == 0)
        return ONE_OUTSIDE;
    *length = wanted < size ? wanted : size;
    *offset = size - *length;
    return ONE_INSIDE;
}

/* One "first-last", "first-" or "-last"; *at moves behind it. */
static enum one read_range(const char **at, uint64_t size, uint64_t *offset, uint64_t *length)
{
    uint64_t first, last;
    bool has_first = read_number(at, &first);
    if (**at != '-')
        return ONE_BAD;
    (*at)++;
    bool has_last = read_number(at, &last);
    if (!has_first)
        return has_last ? suffix_range(last, size, offset, length) : ONE_BAD;
    /* Backwards makes the whole header invalid (RFC 9110, 14.1.2), not unsatisfiable. */
    if (has_last && last < first)
        return ONE_BAD;
    if (first >= size)
        return ONE_OUTSIDE;
    *offset = first;
    *length = has_last && last < size ? last - first + 1 : size - first;
    return ONE_INSIDE;
}

enum range_result range_parse(const char *header, uint64_t size, uint64_t *offset, uint64_t *length)
{
    unsigned inside = 0, outside = 0;
    uint64_t from = 0, bytes = 0;
    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return RANGE_WHOLE;
    for (const char *at = skip_space(header + 6);; at = skip_space(at + 1)) {
        if (*at == ',') /* an empty element of the list is allowed */
            continue;
        if (*at == '\0' && inside + outside > 0)
            break;
        enum one one = read_range(&at, size, &from, &bytes);
        at = skip_space(at);
        if (one == ONE_BAD || (*at != ',' && *at != '\0'))
            return RANGE_WHOLE;
        inside += one == ONE_INSIDE;
        outside += one == ONE_OUTSIDE;
        if (*at == '\0')
            break;
    }
    /* Only where all of them are outside: one that can be satisfied is reason enough for an
     * answer. */
    if (inside == 0)
        return RANGE_UNSATISFIABLE;
    if (inside > 1 || outside)
        return RANGE_WHOLE;
    *offset = from;
    *length = bytes;
    return RANGE_PART;
}
