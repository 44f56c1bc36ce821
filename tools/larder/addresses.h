/*
 * Where volumes are reached. Records, options and outputs name volumes by their names; one that has
 * moved is reached at another address (common/PROTOCOL.md, 'Names').
 */
#ifndef LARDER_TOOLS_ADDRESSES_H
#define LARDER_TOOLS_ADDRESSES_H

#include "common/attr.h"
#include "common/placement.h"
#include "common/status.h"

struct addresses;
struct client;

/* Bytes of a place as it is reached: an address, "/svXX", and the NUL. */
enum { ADDRESSES_PLACE = VOLUME_NAME_MAX + 64 };

struct addresses *addresses_new(void) MUST_CHECK;
void addresses_free(struct addresses *addresses);

/* From now on the volume `name` is reached at `address`. Both are copied. */
enum status addresses_add(struct addresses *addresses, const char *name,
                          const char *address) MUST_CHECK;

/* Asks the master for those of all volumes; blocks, and says why where it fails. */
enum status addresses_fetch(struct addresses *addresses, struct client *client) MUST_CHECK;

/* A place ("name[/svXX]") as it is reached, into `reached` (cut off where it is longer than any
 * place). The same where nothing else is known. */
void addresses_reach(const struct addresses *addresses, const char *place,
                     char reached[ADDRESSES_PLACE]);

#endif
