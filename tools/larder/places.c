/*
 * Numbers for names, so that an entry of a scan has four bytes for its place instead of a hundred.
 * Numbers are positions in the list, in the order in which they were given out; nothing is ever
 * taken out. A number that was read from a damaged scan may be any: the getters answer for all.
 */
#include "tools/larder/places.h"

#include <stdlib.h>
#include <string.h>

struct known_place {
    char *name;
    size_t volume;
};

struct places {
    struct known_place *list;
    size_t count;
};

struct places *places_new(void)
{
    return calloc(1, sizeof(struct places));
}

void places_free(struct places *places)
{
    if (!places)
        return;
    for (size_t i = 0; i < places->count; i++)
        free(places->list[i].name);
    free(places->list);
    free(places);
}

/* After a failed allocation the list is as it was. */
enum status places_add(struct places *places, const char *name, size_t volume, uint32_t *id)
{
    char *copy = strdup(name);
    struct known_place *more = realloc(places->list, (places->count + 1) * sizeof *more);
    if (more)
        places->list = more;
    if (!copy || !more) {
        free(copy);
        return ST_NO_MEMORY;
    }
    *id = (uint32_t)places->count;
    more[places->count++] = (struct known_place){copy, volume};
    return ST_OK;
}

size_t places_count(const struct places *places)
{
    return places->count;
}

const char *places_name(const struct places *places, uint32_t id)
{
    return id < places->count ? places->list[id].name : "";
}

size_t places_volume(const struct places *places, uint32_t id)
{
    return id < places->count ? places->list[id].volume : SIZE_MAX;
}
