/*
 * A counter and no more: memory is taken from malloc by whoever was given room.
 * Compare-and-exchange rather than subtract-and-look, which could let two fail where there is room
 * for one.
 */
#include "volume/room.h"

#include <stdatomic.h>
#include <stdlib.h>

struct room {
    atomic_size_t left;
};

struct room *room_new(size_t bytes)
{
    struct room *room = malloc(sizeof *room);
    if (room)
        atomic_init(&room->left, bytes);
    return room;
}

void room_free(struct room *room)
{
    free(room);
}

bool room_take(struct room *room, size_t bytes)
{
    size_t left = atomic_load(&room->left);
    while (left >= bytes)
        if (atomic_compare_exchange_weak(&room->left, &left, left - bytes))
            return true;
    return false;
}

void room_give_back(struct room *room, size_t bytes)
{
    (void)atomic_fetch_add(&room->left, bytes);
}
