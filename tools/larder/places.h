/*
 * The places that a walk goes through, numbered: entries of a scan name their place by its number.
 * Filled by one thread before the walk begins, only read afterwards.
 */
#ifndef LARDER_TOOLS_PLACES_H
#define LARDER_TOOLS_PLACES_H

#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct places;

struct places *places_new(void) MUST_CHECK;
void places_free(struct places *places);

/* Adds a place on the volume of that position in the list of volumes; *id is its number, from 0. */
enum status places_add(struct places *places, const char *name, size_t volume,
                       uint32_t *id) MUST_CHECK;

size_t places_count(const struct places *places);

/* "host:port[/path][/svXX]"; "" for a number that nobody gave out. */
const char *places_name(const struct places *places, uint32_t id);

/* The position of its volume in the list of volumes. */
size_t places_volume(const struct places *places, uint32_t id);

#endif
