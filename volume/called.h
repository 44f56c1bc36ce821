/*
 * The name under which the store knows this volume (common/PROTOCOL.md, 'Names'), in
 * DIR/.larder/name: the master tells it, and it stays when the volume gets another address. An
 * index that is made anew from volumes takes it from here.
 */
#ifndef LARDER_VOLUME_CALLED_H
#define LARDER_VOLUME_CALLED_H

#include "common/attr.h"
#include "common/placement.h"
#include "common/status.h"

struct called;

/* Reads the name; `dir_fd` is DIR/.larder, and stays the caller's, open as long as this lives. A
 * file that holds no name is logged and taken for none. NULL: no memory. Blocks. */
struct called *called_new(int dir_fd) MUST_CHECK;
void called_free(struct called *called);

/* The name; "": none was told yet. Any thread. */
void called_get(struct called *called, char name[VOLUME_NAME_MAX + 1]);

/* Keeps it, durably. `name` is a normalized one. On failure all is as it was. Blocks; several
 * threads may call it, the last one wins. */
enum status called_set(struct called *called, const char *name) MUST_CHECK;

#endif
