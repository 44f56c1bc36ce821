/* Volumes "v1:1" … "v6:1", placed in this order for every key, in the states that the test wants.
 */
#ifndef LARDER_TESTS_FLOW_FAKE_VOLUMES_H
#define LARDER_TESTS_FLOW_FAKE_VOLUMES_H

#include "common/buf.h"
#include "master/volumes.h"
#include "tests/flow/fake_base.h"

enum { FAKE_VOLUMES = 6 };

struct fake_volume {
    enum volume_state state;
    enum volume_kind kind;
    bool lost, settled;
    bool discounted; /* its copies do not count */
    bool removed;
    bool hesitates;
    bool moved;        /* reached at another address */
    unsigned failures; /* that it was blamed for */
};

static struct fake_volume fake_volumes[FAKE_VOLUMES];
static size_t fake_volume_count = FAKE_VOLUMES;

/* The first `count` are there; all are up, settled, and larder's. */
static inline void volumes_are(size_t count)
{
    fake_volume_count = count;
    for (size_t i = 0; i < FAKE_VOLUMES; i++)
        fake_volumes[i] =
            (struct fake_volume){.kind = VOLUME_LARDER, .state = VOLUME_UP, .settled = true};
}

/* The volume of a place, "v3:1". */
static inline struct fake_volume *volume_at(const char *place)
{
    ck_assert_msg(place[0] == 'v' && place[1] >= '1' && place[1] <= '0' + FAKE_VOLUMES,
                  "no place: %s", place);
    return &fake_volumes[place[1] - '1'];
}

enum status volumes_rank(struct volumes *volumes UNUSED, const struct key *key UNUSED,
                         struct ranked **list, size_t *count)
{
    *count = fake_volume_count;
    *list = calloc(fake_volume_count + 1, sizeof **list);
    if (!*list)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < fake_volume_count; i++) {
        (void)snprintf((*list)[i].place, sizeof(*list)[i].place, "v%zu:1", i + 1);
        (*list)[i].state = fake_volumes[i].state;
        (*list)[i].kind = fake_volumes[i].kind;
        (*list)[i].keeps = !fake_volumes[i].discounted;
    }
    return ST_OK;
}

enum status volumes_wanted(struct volumes *volumes, const struct key *key, size_t most,
                           struct ranked **list, size_t *count)
{
    size_t all;
    *count = 0;
    enum status st = volumes_rank(volumes, key, list, &all);
    for (size_t i = 0; !st && i < all && *count < most; i++)
        if ((*list)[i].keeps)
            (*list)[(*count)++] = (*list)[i];
    return st;
}

enum volume_state volumes_state(struct volumes *volumes UNUSED, const char *place)
{
    return volume_at(place)->state;
}

enum volume_kind volumes_kind(struct volumes *volumes UNUSED, const char *place)
{
    return volume_at(place)->kind;
}

/* "v1:1/sv00" is reached at "a1:1/sv00" where its volume has moved. */
void volumes_add_address(struct volumes *volumes UNUSED, const char *place, struct buf *out)
{
    buf_addf(out, "%c%s", volume_at(place)->moved ? 'a' : 'v', place + 1);
}

const char *volumes_reach(struct volumes *volumes, const char *place, struct buf *out,
                          char field[VOLUMES_FIELD])
{
    volumes_add_address(volumes, place, out);
    (void)snprintf(field, VOLUMES_FIELD, "Larder-Identity: id-of-%.4s", place);
    return field;
}

bool volume_readable(enum volume_state state)
{
    return state <= VOLUME_READ_ONLY;
}

bool volume_writable(enum volume_state state)
{
    return state <= VOLUME_SLOW;
}

bool volume_erasable(enum volume_state state)
{
    return state <= VOLUME_FULL;
}

bool volumes_keeps(struct volumes *volumes UNUSED, const char *place)
{
    return !volume_at(place)->discounted;
}

bool volumes_is_removed(struct volumes *volumes UNUSED, const char *place)
{
    return volume_at(place)->removed;
}

void volumes_failed(struct volumes *volumes UNUSED, const char *place)
{
    volume_at(place)->failures++;
}

bool volumes_lost(struct volumes *volumes UNUSED, const char *place)
{
    return volume_at(place)->lost;
}

bool volumes_look(struct volumes *volumes, const struct key *key, size_t most,
                  const char *const *places, size_t count, struct buf *text,
                  struct volume_copy *copies, uint64_t *stamp)
{
    struct ranked *ranked;
    size_t wanted = 0;
    for (size_t i = 0; i < count; i++) {
        buf_adds(text, i ? "," : "");
        copies[i] = (struct volume_copy){.at = text->len,
                                         .state = volume_at(places[i])->state,
                                         .hesitates = volume_at(places[i])->hesitates};
        volumes_add_address(volumes, places[i], text);
        copies[i].len = text->len - copies[i].at;
    }
    *stamp = 1;
    bool same = volumes_wanted(volumes, key, most, &ranked, &wanted) == ST_OK && wanted == count;
    for (size_t i = 0; i < count && same; i++)
        same = strcmp(ranked[i].place, places[i]) == 0;
    free(ranked);
    return same;
}

bool volumes_settled(struct volumes *volumes UNUSED, const char *place)
{
    return volume_at(place)->settled;
}

#endif
