/* Memory in large pages, for tables that are looked up all over: with the usual ones each look-up
 * would also miss what the processor remembers of pages. */
#ifndef LARDER_COMMON_PAGES_H
#define LARDER_COMMON_PAGES_H

#include <stddef.h>

#include "common/attr.h"

/* `len` bytes of zeros, at the beginning of a page. No page is taken before it is used, and where
 * the kernel has no large ones the usual ones will do. NULL: there is no room. */
void *pages_map(size_t len) MUST_CHECK;
/* What pages_map() gave, with the same length; NULL is fine. */
void pages_unmap(void *memory, size_t len);

#endif
