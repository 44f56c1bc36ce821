/*
 * Who the volumes are, before a walk: whether each is larder's or a plain WebDAV server, its
 * identity, its name in the store and the address at which it is reached, and its places (disks). A
 * volume that cannot be reached ends the work here, unless it was left out on purpose: what is on
 * it would be missing from the result.
 */
#ifndef LARDER_TOOLS_ROSTER_H
#define LARDER_TOOLS_ROSTER_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/durable.h"
#include "common/status.h"
#include "tools/larder/addresses.h"

struct roster;
struct places;
struct option_list;
struct http_fetcher;

/* Takes the volumes as the operator wrote them (names, which are addresses as long as nothing else
 * is known), and those to leave out: volumes of the list, places of theirs, or volumes that are not
 * in it any more. ST_BAD_REQUEST (said) for a bad or doubled name. */
enum status roster_new(struct roster **made, const struct option_list *volumes,
                       const struct option_list *without) MUST_CHECK;
void roster_free(struct roster *roster);

/* The volume `name` is reached at `address`, as index or master say; one of the list that was
 * written in either way is meant, if any. Before roster_call(). */
void roster_moved(struct roster *roster, const char *name, const char *address);

/* True where every volume that was left out is in the list, or among `others` (may be NULL); says
 * so where one is not: it may be misspelt. */
bool roster_check_left_out(const struct roster *roster,
                           const struct option_list *others) MUST_CHECK;

/* True where the place is in the list, or was left out. */
bool roster_accounts_for(const struct roster *roster, const char *place);

/* Asks every volume for its kind, identity and places, and those of which roster_moved() told
 * nothing for the name that the store gave them. Says why where it fails. */
enum status roster_call(struct roster *roster, struct http_fetcher *fetcher) MUST_CHECK;

/* The names of all volumes, those left out too: placement counts them. */
const char *const *roster_volumes(const struct roster *roster, size_t *count);

/* A place (or volume) as it is reached. Any thread, after roster_call(). */
void roster_reach(const struct roster *roster, const char *place, char reached[ADDRESSES_PLACE]);

/* 32 hex digits, "" for one that has none to tell. */
const char *roster_identity(const struct roster *roster, size_t volume);
bool roster_is_larder(const struct roster *roster, size_t volume);

/* True where a place (or the volume that it is on) was left out. */
bool roster_left_out(const struct roster *roster, const char *place);
/* True where anything was. */
bool roster_incomplete(const struct roster *roster);

/* The places that can be walked; filled by roster_call(). */
const struct places *roster_places(const struct roster *roster);

/* True for "svXX": at least two upper-case hex digits. */
bool roster_is_subvolume(const char *name);

#endif
