/*
 * What is lasting of the volumes: names, identities, addresses; its text in the index
 * (common/PROTOCOL.md, 'Index'). The table's half that is committed; what health checks see is in
 * volumes_table.c.
 *
 * Only the roll calls volumes_set(), and server.c at the start: so facts change one after the
 * other. All others get copies, made under the lock, and may keep them as long as they like; but
 * they may be out of date then.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/loop.h"
#include "master/volumes_state.h"

/* --- as text --- */

/* Names, addresses and identities were checked when they came in, and have nothing to be escaped.
 */
void volumes_describe(struct buf *out, const char *name, const struct volume_facts *facts)
{
    buf_addf(out, "{\"id\":\"%s\",\"added\":%" PRIu64, facts->id, facts->added_ms);
    if (facts->address[0] && strcmp(facts->address, name) != 0)
        buf_addf(out, ",\"address\":\"%s\"", facts->address);
    buf_addf(out, "%s%s}", facts->draining ? ",\"draining\":true" : "",
             facts->removed ? ",\"removed\":true" : "");
}

void volumes_read(struct volume_facts *facts, const char *text)
{
    struct json *json = json_parse(text, strlen(text), NULL);
    const char *id = json_text(json_member(json, "id"));
    const char *address = json_text(json_member(json, "address"));
    memset(facts, 0, sizeof *facts);
    if (id && strlen(id) == IDENTITY_SIZE)
        memcpy(facts->id, id, IDENTITY_SIZE + 1);
    if (address && placement_volume_name(address, strlen(address), facts->address))
        facts->address[0] = 0;
    facts->added_ms = (uint64_t)json_int(json_member(json, "added"), 0);
    facts->draining = json_bool(json_member(json, "draining"), false);
    facts->removed = json_bool(json_member(json, "removed"), false);
    json_free(json);
}

/* --- in the table --- */

bool volumes_facts(struct volumes *volumes, const char *name, struct volume_facts *facts)
{
    (void)pthread_rwlock_rdlock(&volumes->lock);
    const struct volume *volume = volumes_by_name(volumes, name);
    if (volume)
        *facts = volume->facts;
    (void)pthread_rwlock_unlock(&volumes->lock);
    if (volume)
        return true;
    memset(facts, 0, sizeof *facts);
    memcpy(facts->address, name, strlen(name) + 1);
    facts->added_ms = loop_wall_ms();
    return false;
}

/* With the lock held for writing. NULL: no memory. */
static struct volume *make(struct volumes *volumes, const char *name)
{
    struct volume *volume = calloc(1, sizeof *volume);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): a list of pointers it is */
    struct volume **more = realloc(volumes->list, (volumes->count + 1) * sizeof *more);
    if (more)
        volumes->list = more;
    if (!volume || !more) {
        free(volume);
        return NULL;
    }
    volume->name_len = strlen(name);
    memcpy(volume->name, name, volume->name_len + 1);
    memcpy(volume->facts.address, name, volume->name_len + 1);
    more[volumes->count++] = volume;
    return volume;
}

/* What was known of it was known of another address. */
static void forget_state(struct volume *volume)
{
    volumes_set_state(volume, VOLUME_UNKNOWN, "it is reached at another address");
    volume->lost = false;
    volume->silences = 0;
}

/* With the lock held for writing. Everything that follows from new facts: an address that changed
 * makes the state unknown, draining and removal make copies cease to count (epoch), and `turns`
 * tells a removal whether its volume was kept in between. */
static void replace(struct volumes *volumes, struct volume *volume,
                    const struct volume_facts *facts)
{
    struct volume_facts before = volume->facts;
    volume->facts = *facts;
    volume->facts.forgets_id = false;
    if (!facts->id[0] && !facts->forgets_id)
        memcpy(volume->facts.id, before.id, sizeof before.id);
    if (!facts->address[0])
        memcpy(volume->facts.address, volume->name, volume->name_len + 1);
    volume->facts.turns = before.turns + (before.draining != facts->draining);
    if (strcmp(before.address, volume->facts.address) != 0 && volume->checked)
        forget_state(volume);
    if (before.draining != facts->draining || (facts->removed && !before.removed))
        volumes->epoch++;
}

enum status volumes_set(struct volumes *volumes, const char *name, const struct volume_facts *facts)
{
    (void)pthread_rwlock_wrlock(&volumes->lock);
    struct volume *volume = volumes_by_name(volumes, name);
    if (!volume)
        volume = make(volumes, name);
    if (volume)
        replace(volumes, volume, facts);
    (void)pthread_rwlock_unlock(&volumes->lock);
    return volume ? ST_OK : ST_NO_MEMORY;
}

/* --- finding one --- */

/* Takes the name of a volume, if it is one of the store. With the lock held. */
static bool take_name(const struct volume *volume, char name[VOLUME_NAME_MAX + 1])
{
    if (!volume || volume->facts.removed)
        return false;
    memcpy(name, volume->name, volume->name_len + 1);
    return true;
}

/* With the lock held. */
static const struct volume *by_address(const struct volumes *volumes, const char *address)
{
    const struct volume *found = NULL;
    for (size_t i = 0; i < volumes->count; i++) {
        const struct volume *volume = volumes->list[i];
        if (!volume->facts.removed && strcmp(volume->facts.address, address) == 0 &&
            (!found || found->state == VOLUME_FOREIGN))
            found = volume;
    }
    return found;
}

/* A name wins over an address: the address of one volume may be the name of another. */
bool volumes_find(struct volumes *volumes, const char *text, char name[VOLUME_NAME_MAX + 1])
{
    (void)pthread_rwlock_rdlock(&volumes->lock);
    bool found = take_name(volumes_by_name(volumes, text), name) ||
                 take_name(by_address(volumes, text), name);
    (void)pthread_rwlock_unlock(&volumes->lock);
    return found;
}

bool volumes_at(struct volumes *volumes, const char *address, char name[VOLUME_NAME_MAX + 1])
{
    (void)pthread_rwlock_rdlock(&volumes->lock);
    bool found = take_name(by_address(volumes, address), name);
    (void)pthread_rwlock_unlock(&volumes->lock);
    return found;
}

/* A row is searched: there are tens of volumes, and few who ask. */
bool volumes_with_id(struct volumes *volumes, const char *id, char name[VOLUME_NAME_MAX + 1])
{
    bool found = false;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    for (size_t i = 0; i < volumes->count && !found; i++)
        if (strcmp(volumes->list[i]->facts.id, id) == 0)
            found = take_name(volumes->list[i], name);
    (void)pthread_rwlock_unlock(&volumes->lock);
    return found;
}

void volumes_write_address(const struct volume *volume, const char *place, struct buf *out)
{
    if (volume) {
        buf_adds(out, volume->facts.address);
        buf_adds(out, place + volume->name_len);
    } else {
        buf_adds(out, place);
    }
}

void volumes_add_address(struct volumes *volumes, const char *place, struct buf *out)
{
    const char *rest;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    volumes_write_address(volumes_by_place(volumes, place, &rest), place, out);
    (void)pthread_rwlock_unlock(&volumes->lock);
}

const char *volumes_reach(struct volumes *volumes, const char *place, struct buf *out,
                          char field[VOLUMES_FIELD])
{
    const char *rest;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    const struct volume *volume = volumes_by_place(volumes, place, &rest);
    volumes_write_address(volume, place, out);
    bool known = volume && volume->facts.id[0];
    if (known)
        (void)stpcpy(stpcpy(field, "Larder-Identity: "), volume->facts.id);
    (void)pthread_rwlock_unlock(&volumes->lock);
    return known ? field : NULL;
}
