/*
 * Who the volumes are. The path: roster_new (the lists as written) → roster_moved (what index or
 * master know of addresses) → roster_call (each volume is asked) → answers. After roster_call()
 * nothing changes any more, so any thread may ask.
 *
 * Three things are held apart that look alike on a command line: the name (what records and
 * placement use), the address (where it is reached), and the identity (which volume it really is).
 * The name of a member may change until it was said by one who knows (`named`): the index or the
 * master, else the volume itself.
 *
 * What shaped it: a walk that passes over a volume makes an index without its values, and that
 * looks like success. So everything that is not what it should be ends the work here, with the
 * option that leaves it out on purpose in the message: a volume that is down, a disk that is not
 * mounted, a name that is misspelt or doubled.
 */
#include "tools/larder/roster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/options.h"
#include "common/placement.h"
#include "tools/larder/places.h"
#include "tools/larder/say.h"
#include "tools/larder/volume.h"

/* One volume of the list. Its text members are valid from roster_new() on, `identity` and
 * `is_larder` after roster_call(). */
struct member {
    char name[VOLUME_NAME_MAX + 1];    /* in the store */
    char address[VOLUME_NAME_MAX + 1]; /* where it is reached */
    bool named;                        /* whoever knows the name has said it */
    char identity[IDENTITY_SIZE + 1];  /* "": it did not say */
    bool is_larder;                    /* answers /admin/health as a larder-volume does */
};

struct roster {
    struct member *members;
    const char **names; /* of the members (their own memory); what placement wants */
    size_t count;
    char **left_out; /* names or addresses of volumes and places, as written */
    size_t left_out_count;
    struct addresses *addresses; /* of those whose name is another; filled by roster_call() */
    struct places *places;
};

/* --- making --- */

/* A name twice would be two copies on one volume, so it is refused. */
static enum status take_volumes(struct roster *roster, const struct option_list *volumes)
{
    for (size_t i = 0; i < volumes->count; i++) {
        const char *text = volumes->items[i];
        struct member *member = &roster->members[i];
        if (placement_volume_name(text, strlen(text), member->name)) {
            say_error("'%s' is no volume: write host:port or host:port/path", text);
            return ST_BAD_REQUEST;
        }
        memcpy(member->address, member->name, sizeof member->address);
        roster->names[i] = member->name;
        for (size_t j = 0; j < i; j++)
            if (strcmp(roster->names[j], member->name) == 0) {
                say_error("the volume %s is given twice", member->name);
                return ST_BAD_REQUEST;
            }
        roster->count++;
    }
    return ST_OK;
}

/* True where `place` is the volume, or "volume/svXX". */
static bool is_on(const char *place, const char *volume)
{
    size_t len = strlen(volume);
    if (strncmp(place, volume, len) != 0)
        return false;
    return place[len] == 0 || (place[len] == '/' && roster_is_subvolume(place + len + 1));
}

/* By either, the name or the address: one does not know which an operator has written. */
static bool is_member(const struct roster *roster, const char *place)
{
    for (size_t i = 0; i < roster->count; i++)
        if (is_on(place, roster->members[i].name) || is_on(place, roster->members[i].address))
            return true;
    return false;
}

/* Whether there is such a volume is asked later, when the old index was read. */
static enum status take_left_out(struct roster *roster, const struct option_list *without)
{
    for (size_t i = 0; i < without->count; i++) {
        char name[VOLUME_NAME_MAX + 1];
        const char *text = without->items[i];
        if (placement_volume_name(text, strlen(text), name)) {
            say_error("--without %s: write host:port, host:port/path or host:port/svXX", text);
            return ST_BAD_REQUEST;
        }
        roster->left_out[i] = strdup(name);
        if (!roster->left_out[i])
            return ST_NO_MEMORY;
        roster->left_out_count++;
    }
    return ST_OK;
}

enum status roster_new(struct roster **made, const struct option_list *volumes,
                       const struct option_list *without)
{
    *made = NULL;
    struct roster *roster = calloc(1, sizeof *roster);
    if (!roster)
        return ST_NO_MEMORY;
    roster->members = calloc(volumes->count + 1, sizeof *roster->members);
    roster->names = calloc(volumes->count + 1, sizeof *roster->names);
    roster->left_out = calloc(without->count + 1, sizeof *roster->left_out);
    roster->places = places_new();
    roster->addresses = addresses_new();
    enum status st = ST_NO_MEMORY;
    if (roster->members && roster->names && roster->left_out && roster->places && roster->addresses)
        st = take_volumes(roster, volumes);
    if (!st)
        st = take_left_out(roster, without);
    if (st) {
        roster_free(roster);
        return st;
    }
    *made = roster;
    return ST_OK;
}

void roster_free(struct roster *roster)
{
    if (!roster)
        return;
    for (size_t i = 0; i < roster->left_out_count; i++)
        free(roster->left_out[i]);
    free(roster->left_out);
    free(roster->members);
    free((void *)roster->names);
    places_free(roster->places);
    addresses_free(roster->addresses);
    free(roster);
}

/* By its name first: the address of one may have been the name of another. */
static struct member *find_member(struct roster *roster, const char *name, const char *address)
{
    for (size_t i = 0; i < roster->count; i++)
        if (strcmp(roster->members[i].name, name) == 0)
            return &roster->members[i];
    for (size_t i = 0; i < roster->count; i++)
        if (!roster->members[i].named && strcmp(roster->members[i].address, address) == 0)
            return &roster->members[i];
    return NULL;
}

void roster_moved(struct roster *roster, const char *name, const char *address)
{
    struct member *member = find_member(roster, name, address);
    if (!member || strlen(name) > VOLUME_NAME_MAX || strlen(address) > VOLUME_NAME_MAX)
        return;
    memcpy(member->name, name, strlen(name) + 1);
    memcpy(member->address, address, strlen(address) + 1);
    member->named = true;
}

/* `others` are volumes that only the old index knows. */
bool roster_check_left_out(const struct roster *roster, const struct option_list *others)
{
    bool good = true;
    for (size_t i = 0; i < roster->left_out_count; i++) {
        const char *name = roster->left_out[i];
        bool known = is_member(roster, name);
        for (size_t j = 0; others && j < others->count && !known; j++)
            known = is_on(name, others->items[j]);
        if (!known)
            say_error("--without %s: there is no such volume, nor disk of one", name);
        good = good && known;
    }
    return good;
}

bool roster_accounts_for(const struct roster *roster, const char *place)
{
    return is_member(roster, place) || roster_left_out(roster, place);
}

/* --- asking --- */

/* Both ways out, in one message for all reasons. */
static void say_unreachable(const char *volume, const char *why)
{
    say_error("the volume %s cannot be read: %s. Start it, or leave it out with '--without %s': "
              "what is on it is not looked at then",
              volume, why, volume);
}

/* A subvolume whose disk is away looks like an empty one. */
struct missing_disks {
    const struct roster *roster;
    const char *volume;
    bool any;
};

/* Called for each disk of a health answer. */
static void check_disk(void *arg, const char *name, const struct json *disk)
{
    struct missing_disks *missing = arg;
    const char *state = json_text(json_member(disk, "state"));
    char place[VOLUME_NAME_MAX + 64];
    (void)snprintf(place, sizeof place, "%s%s%.40s", missing->volume, *name ? "/" : "", name);
    if (!state || strcmp(state, "missing") != 0 || roster_left_out(missing->roster, place))
        return;
    say_error("the disk of %s is missing (not mounted?). Mount it and start the volume again, or "
              "leave it out with '--without %s': what is on it is not looked at then",
              place, place);
    missing->any = true;
}

/* The volume was told its name by the master, and may have got another address since. */
static void take_name(struct member *member, const struct json *health)
{
    char name[VOLUME_NAME_MAX + 1];
    const char *told = json_text(json_member(health, "name"));
    if (member->named || !told || placement_volume_name(told, strlen(told), name) ||
        strcmp(name, member->name) == 0)
        return;
    say_error("%s says that the store knows it as %s", member->address, name);
    memcpy(member->name, name, sizeof name);
}

static enum status take_health(struct roster *roster, size_t i, const struct json *health)
{
    struct member *member = &roster->members[i];
    take_name(member, health);
    struct missing_disks missing = {roster, member->name, false};
    member->is_larder = true;
    const char *id = json_text(json_member(health, "id"));
    if (id && strlen(id) == IDENTITY_SIZE && strspn(id, "0123456789abcdef") == IDENTITY_SIZE)
        memcpy(member->identity, id, sizeof member->identity);
    json_each(json_member(health, "subvolumes"), check_disk, &missing);
    return missing.any ? ST_UNAVAILABLE : ST_OK;
}

/* Places that were left out do not become places at all. */
static enum status add_place(struct roster *roster, size_t volume, const char *subvolume)
{
    char name[VOLUME_NAME_MAX + 64];
    uint32_t id;
    (void)snprintf(name, sizeof name, "%s%s%s", roster->names[volume], *subvolume ? "/" : "",
                   subvolume);
    if (roster_left_out(roster, name))
        return ST_OK;
    return places_add(roster->places, name, volume, &id);
}

/* The volume's own directory is a place as well: with one subvolume all values are there. */
static enum status add_places(struct roster *roster, size_t volume, const struct listing *root)
{
    enum status st = add_place(roster, volume, "");
    for (size_t i = 0; i < listing_count(root) && !st; i++) {
        struct listing_item item;
        if (listing_item(root, i, &item) && item.directory && roster_is_subvolume(item.name))
            st = add_place(roster, volume, item.name);
    }
    return st;
}

/* Health before the listing, so that a missing disk is told as such and not as an empty one. */
static enum status call_member(struct roster *roster, size_t i, struct http_fetcher *fetcher)
{
    char why[VOLUME_WHY] = "";
    struct json *health = NULL;
    struct listing *root = NULL;
    const char *address = roster->members[i].address;
    enum status st = volume_health(fetcher, address, &health, why);
    if (!st)
        st = volume_list(fetcher, address, "", false, &root, why);
    if (st)
        say_unreachable(roster->names[i], why);
    if (!st && health)
        st = take_health(roster, i, health);
    if (!st)
        st = add_places(roster, i, root);
    listing_free(root);
    json_free(health);
    return st;
}

/* Two volumes under one name: one is at the old address of the other, which has moved. */
static enum status check_names(const struct roster *roster)
{
    for (size_t i = 0; i < roster->count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(roster->names[i], roster->names[j]) == 0) {
                say_error(
                    "%s and %s both are the volume %s of the store: one of them is not; leave "
                    "it out of the list",
                    roster->members[j].address, roster->members[i].address, roster->names[i]);
                return ST_BAD_REQUEST;
            }
    return ST_OK;
}

/* Every one, also where name and address are the same (addresses.c says why). */
static enum status note_addresses(struct roster *roster)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < roster->count && !st; i++)
        st = addresses_add(roster->addresses, roster->members[i].name, roster->members[i].address);
    return st;
}

/* One volume under two names would count as two copies. */
static enum status check_twins(const struct roster *roster)
{
    for (size_t i = 0; i < roster->count; i++)
        for (size_t j = 0; j < i; j++) {
            const struct member *a = &roster->members[i];
            const struct member *b = &roster->members[j];
            if (!a->identity[0] || strcmp(a->identity, b->identity) != 0)
                continue;
            say_error("%s and %s are one and the same volume: give it under the name by which "
                      "the master knows it",
                      b->name, a->name);
            return ST_BAD_REQUEST;
        }
    return ST_OK;
}

/* Blocks for two requests a volume, one volume after the other. */
enum status roster_call(struct roster *roster, struct http_fetcher *fetcher)
{
    enum status first = ST_OK;
    for (size_t i = 0; i < roster->count; i++) {
        if (roster_left_out(roster, roster->names[i]))
            continue;
        /* All of them are asked, so that all that are down are said at once. */
        enum status st = call_member(roster, i, fetcher);
        if (!first)
            first = st;
    }
    if (!first)
        first = check_twins(roster);
    if (!first)
        first = check_names(roster);
    return first ? first : note_addresses(roster);
}

/* --- answers --- */

/* Their order is the operator's; placement does not depend on it. */
const char *const *roster_volumes(const struct roster *roster, size_t *count)
{
    *count = roster->count;
    return roster->names;
}

void roster_reach(const struct roster *roster, const char *place, char reached[ADDRESSES_PLACE])
{
    addresses_reach(roster->addresses, place, reached);
}

const char *roster_identity(const struct roster *roster, size_t volume)
{
    return roster->members[volume].identity;
}

bool roster_is_larder(const struct roster *roster, size_t volume)
{
    return roster->members[volume].is_larder;
}

static bool is_left_out(const struct roster *roster, const char *place)
{
    for (size_t i = 0; i < roster->left_out_count; i++)
        if (is_on(place, roster->left_out[i]))
            return true;
    return false;
}

/* An operator may have written either, the name or the address. */
bool roster_left_out(const struct roster *roster, const char *place)
{
    if (is_left_out(roster, place))
        return true;
    for (size_t i = 0; roster->left_out_count && i < roster->count; i++) {
        const struct member *member = &roster->members[i];
        char reached[ADDRESSES_PLACE];
        if (!is_on(place, member->name))
            continue;
        (void)snprintf(reached, sizeof reached, "%s%s", member->address,
                       place + strlen(member->name));
        return is_left_out(roster, reached);
    }
    return false;
}

bool roster_incomplete(const struct roster *roster)
{
    return roster->left_out_count > 0;
}

const struct places *roster_places(const struct roster *roster)
{
    return roster->places;
}

bool roster_is_subvolume(const char *name)
{
    return strncmp(name, "sv", 2) == 0 && strlen(name) >= 4 && strlen(name) <= 10 &&
           strspn(name + 2, "0123456789ABCDEF") == strlen(name + 2);
}
