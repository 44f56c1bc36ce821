/* Conditional requests (RFC 9110, section 13): pure functions. */
#ifndef LARDER_VOLUME_CONDITION_H
#define LARDER_VOLUME_CONDITION_H

#include <stdbool.h>
#include <time.h>

#include "common/attr.h"

/* The headers of a GET or HEAD, as sent; NULL where they were not. The strings are the
 * request's. */
struct condition {
    const char *if_match;
    const char *if_none_match;
    const char *if_modified_since;
    const char *if_unmodified_since;
    const char *if_range;
};

enum condition_result {
    CONDITION_SEND,         /* 200 or 206 */
    CONDITION_NOT_MODIFIED, /* 304 */
    CONDITION_FAILED        /* 412 */
};

/* Evaluates them in the order of section 13.2.2. `etag` is that of the value, with its quotes;
 * `modified` in seconds. Dates that cannot be read are ignored. */
enum condition_result condition_check(const struct condition *condition, const char *etag,
                                      time_t modified) MUST_CHECK;

/* True where a Range may be obeyed: no If-Range, or it names this very value. */
bool condition_range(const struct condition *condition, const char *etag,
                     time_t modified) MUST_CHECK;

#endif
