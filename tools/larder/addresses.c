/*
 * A row, searched from its beginning: a store has tens of volumes, and a place is looked up once a
 * request. Filled by one thread before others read it; nothing is locked.
 */
#include "tools/larder/addresses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/larder/say.h"
#include "tools/larder/volumelist.h"

/* One for each volume of the master's list, also where name and address are the same: so a place on
 * a volume whose name begins with another's is not taken for that one's. */
struct reached_at {
    char name[VOLUME_NAME_MAX + 1];
    char address[VOLUME_NAME_MAX + 1];
};

struct addresses {
    struct reached_at *list;
    size_t count;
};

struct addresses *addresses_new(void)
{
    return calloc(1, sizeof(struct addresses));
}

void addresses_free(struct addresses *addresses)
{
    if (!addresses)
        return;
    free(addresses->list);
    free(addresses);
}

/* Whole names only; addresses_reach() is the one that knows of paths below a name. */
static struct reached_at *find(const struct addresses *addresses, const char *name)
{
    for (size_t i = 0; i < addresses->count; i++)
        if (strcmp(addresses->list[i].name, name) == 0)
            return &addresses->list[i];
    return NULL;
}

/* A second address for a name replaces the first. Too long a name is refused: cut off it could be
 * another volume's. */
enum status addresses_add(struct addresses *addresses, const char *name, const char *address)
{
    if (strlen(name) > VOLUME_NAME_MAX || strlen(address) > VOLUME_NAME_MAX)
        return ST_BAD_REQUEST;
    struct reached_at *at = find(addresses, name);
    if (!at) {
        at = realloc(addresses->list, (addresses->count + 1) * sizeof *at);
        if (!at)
            return ST_NO_MEMORY;
        addresses->list = at;
        at += addresses->count++;
    }
    memcpy(at->name, name, strlen(name) + 1);
    memcpy(at->address, address, strlen(address) + 1);
    return ST_OK;
}

/* A master that tells no addresses has no volumes that have moved. */
enum status addresses_fetch(struct addresses *addresses, struct client *client)
{
    struct volumelist *list;
    enum status st = volumelist_fetch(&list, client);
    if (st)
        return st;
    for (size_t i = 0; i < volumelist_count(list) && !st; i++) {
        struct volumelist_item volume = volumelist_item(list, i);
        if (volume.address)
            st = addresses_add(addresses, volume.name, volume.address);
    }
    if (st)
        say_error("the master's list of volumes cannot be used: %s", status_text(st));
    volumelist_free(list);
    return st;
}

/* Of two volumes where one is a path below the other the longer name is meant. */
void addresses_reach(const struct addresses *addresses, const char *place,
                     char reached[ADDRESSES_PLACE])
{
    const struct reached_at *best = NULL;
    size_t best_len = 0;
    for (size_t i = 0; i < addresses->count; i++) {
        size_t len = strlen(addresses->list[i].name);
        if (strncmp(place, addresses->list[i].name, len) == 0 &&
            (place[len] == 0 || place[len] == '/') && (!best || len > best_len)) {
            best = &addresses->list[i];
            best_len = len;
        }
    }
    (void)snprintf(reached, ADDRESSES_PLACE, "%s%s", best ? best->address : "", place + best_len);
}
