#include "common/pages.h"

#include <stdint.h>
#include <sys/mman.h>

enum { PAGE = 2 * 1024 * 1024 };

/* A multiple of PAGE. */
static size_t whole(size_t len)
{
    return (len + PAGE - 1) / PAGE * PAGE;
}

/* One page more is mapped, so that the beginning can be that of a large one; what is left over on
 * both sides goes back. */
void *pages_map(size_t len)
{
    len = whole(len);
    char *memory = mmap(NULL, len + PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    size_t before = (PAGE - (uintptr_t)memory % PAGE) % PAGE;
    if (before)
        (void)munmap(memory, before);
    (void)munmap(memory + before + len, PAGE - before);
    (void)madvise(memory + before, len, MADV_HUGEPAGE);
    return memory + before;
}

void pages_unmap(void *memory, size_t len)
{
    if (memory)
        (void)munmap(memory, whole(len));
}
