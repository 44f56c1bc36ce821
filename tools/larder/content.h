/*
 * What the value of a version is, where its copies differ: which of them have it, and which are
 * damaged. Pure. The rules are number 3 of choose.h.
 */
#ifndef LARDER_TOOLS_CONTENT_H
#define LARDER_TOOLS_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/name.h"

struct scan_file;

/* The copies of one generation, in the order of placement; part of a group's row of files. */
struct version {
    const struct scan_file *files;
    size_t count;
};

/* What the chosen copies have in common. */
struct content {
    const char *md5; /* "": not known; belongs to a file of the version, or to whoever knew it */
    uint64_t size;
    enum naming naming;
};

/* Whether the file is whole, as far as a listing tells; its bytes are for `verify --deep`. */
bool content_is_sound(const struct scan_file *file) MUST_CHECK;
bool content_any_sound(const struct version *version) MUST_CHECK;

/* Of a version that has a sound copy. `known` is the MD5 that an earlier index has of it, or "".
 * *conflict: sound copies differ in MD5 or size. */
struct content content_choose(const struct version *version, const char *known, bool *conflict);

/* Whether the copy is sound and, whatever its naming, has that content. */
bool content_is_of(const struct content *content, const struct scan_file *file) MUST_CHECK;

#endif
