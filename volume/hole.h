/* A reader at a hole: a file that should be here, and is not (common/PROTOCOL.md). */
#ifndef LARDER_VOLUME_HOLE_H
#define LARDER_VOLUME_HOLE_H

#include <stdbool.h>

#include "common/attr.h"

struct flow;

/* Sends the reader to the master for another copy, and returns true; false, with nothing answered,
 * where there is no master, the name tells no key, the request comes from larder itself
 * (`Larder-Internal: 1`), or the reader was here before. */
bool hole_redirect(struct flow *flow) MUST_CHECK;

#endif
