/*
 * From the path of a request to a subvolume and a file below it. Pure functions, any thread.
 * Whatever comes out of path_parse() stays below the volume's directory when it is opened, but for
 * links that an operator has made there.
 */
#ifndef LARDER_VOLUME_PATH_H
#define LARDER_VOLUME_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/placement.h"
#include "common/status.h"

struct key;

enum {
    PATH_LIMIT = 4000, /* bytes of a decoded path; the kernel's limit is 4096 */
    PATH_SUBVOLUMES = 1 + PLACEMENT_SUBVOLUMES_MAX /* DIR itself, then sv00 to svFFF */
};

struct path {
    char text[PATH_LIMIT + 1]; /* decoded, '//' merged, begins with '/', no '/' at its end */
    size_t len;
    unsigned subvolume; /* 0: DIR itself; n + 1: the subvolume of number n */
    const char *file;   /* below the subvolume, into `text`, no '/' in front; "" is its root */
    bool directory;     /* the request's path ended in '/' */
};

/*
 * Decodes and checks the raw path of a request. ST_BAD_REQUEST for a broken escape, a NUL, a
 * component '.', '..', '.larder', or one of more than 255 bytes; ST_URI_TOO_LONG. `path` must not
 * be moved or copied afterwards: it points into itself.
 */
enum status path_parse(struct path *path, const char *raw, size_t len) MUST_CHECK;

/* The name of a subvolume: "" for 0, else "sv" and at least two upper-case hex digits. */
enum { PATH_SUBVOLUME_NAME = 8 };
void path_subvolume_name(unsigned subvolume, char name[PATH_SUBVOLUME_NAME]);

/* The number of a subvolume by its name of `len` bytes, as in struct path: 1 for "sv00". 0 for one
 * that is not "svXX". */
unsigned path_subvolume(const char *name, size_t len) MUST_CHECK;

/*
 * The key that a file's name tells; *prefix is the length of what stands before "/aa/bb/" in
 * path->text. ST_NOT_FOUND where the name tells none: a stray file. Takes some MD5s.
 */
enum status path_key(const struct path *path, struct key *key, size_t *prefix) MUST_CHECK;

#endif
