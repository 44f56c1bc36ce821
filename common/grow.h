/* Lists in one piece of memory that grow by doubling: room for one more costs no copy mostly. */
#ifndef LARDER_COMMON_GROW_H
#define LARDER_COMMON_GROW_H

#include <stddef.h>

#include "common/attr.h"

/* Makes sure that one more item of `size` bytes fits behind the `count` ones of `list`, which has
 * *room items' room (both may be nothing yet). Returns the list, which may have moved: the caller
 * owns it instead of the old one. NULL: no memory; list and *room are as before. */
void *grow_list(void *list, size_t count, size_t *room, size_t size) MUST_CHECK;

#endif
