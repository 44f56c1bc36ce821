#include "common/grow.h"

#include <stdlib.h>

/* Of what most lists that are begun have in the end; more would be wasted on the short ones. */
enum { FIRST = 8 };

/* By reallocarray, which refuses a size that would overflow. */
void *grow_list(void *list, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return list;
    size_t more = *room ? *room * 2 : FIRST;
    void *grown = reallocarray(list, more, size);
    if (grown)
        *room = more;
    return grown;
}
