/*
 * Where a value is written to: standard output, or a file, which is written beside its place under
 * another name and renamed when it is whole. All functions say on standard error why they failed.
 */
#ifndef LARDER_TOOLS_OUTPUT_H
#define LARDER_TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"

struct output;

/* `file`: "-" is standard output. What is no regular file (a device, a pipe) is written directly.
 * NULL where it cannot be made. */
struct output *output_new(const char *file) MUST_CHECK;

/* Removes what was not finished. */
void output_free(struct output *output);

bool output_write(struct output *output, const char *data, size_t len) MUST_CHECK;

/* True where what was written can be forgotten, to begin again. */
bool output_can_rewind(const struct output *output);
bool output_rewind(struct output *output) MUST_CHECK;

/* Puts the file in its place. */
bool output_finish(struct output *output) MUST_CHECK;

#endif
