/*
 * Paths are taken apart once, here, and refused where they could lead out of the directory or into
 * .larder; everything behind works with `file` below an open directory. What the subvolume is
 * follows from the name alone: whether there is such a disk is asked later.
 */
#include "volume/path.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/key.h"
#include "common/name.h"

enum { COMPONENT_MAX = 255 }; /* bytes of a name on every common file system */

static bool component_allowed(const char *name, size_t len)
{
    if (len > COMPONENT_MAX)
        return false;
    if ((len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
        return false;
    /* At any depth, and not only where ours are: one rule, and nothing to get wrong. */
    return !(len == 7 && !memcmp(name, ".larder", 7));
}

/* Appends the components one by one, which merges '//', as nginx does. It never becomes longer than
 * what was decoded. */
static enum status add_components(struct path *path, const char *decoded, size_t len)
{
    size_t at = 0;
    while (at < len) {
        const char *slash = memchr(decoded + at, '/', len - at);
        size_t size = slash ? (size_t)(slash - decoded) - at : len - at;
        if (size > 0) {
            if (!component_allowed(decoded + at, size))
                return ST_BAD_REQUEST;
            path->text[path->len++] = '/';
            memcpy(path->text + path->len, decoded + at, size);
            path->len += size;
        }
        at += size + 1;
    }
    path->text[path->len] = '\0';
    return ST_OK;
}

/* Sets `subvolume` and `file`, by the first component. A path that is nothing but "/svXX" has "" as
 * its file: the root of that subvolume. */
static void split_subvolume(struct path *path)
{
    const char *first = path->len ? path->text + 1 : path->text;
    const char *slash = strchr(first, '/');
    size_t size = slash ? (size_t)(slash - first) : strlen(first);
    path->subvolume = path_subvolume(first, size);
    path->file = first;
    if (path->subvolume != 0)
        path->file = slash ? slash + 1 : first + size;
}

enum status path_parse(struct path *path, const char *raw, size_t len)
{
    char decoded[PATH_LIMIT];
    path->len = 0;
    if (len == 0 || raw[0] != '/')
        return ST_BAD_REQUEST;
    /* Decoded once: a '%' that comes out of it is a byte of the name. */
    long size = key_decode(decoded, sizeof(decoded), raw, len);
    if (size < 0)
        return len > sizeof(decoded) ? ST_URI_TOO_LONG : ST_BAD_REQUEST;
    if (memchr(decoded, '\0', (size_t)size))
        return ST_BAD_REQUEST;
    enum status st = add_components(path, decoded, (size_t)size);
    if (st)
        return st;
    path->directory = decoded[size - 1] == '/';
    split_subvolume(path);
    return ST_OK;
}

void path_subvolume_name(unsigned subvolume, char name[PATH_SUBVOLUME_NAME])
{
    name[0] = '\0';
    if (subvolume != 0)
        snprintf(name, PATH_SUBVOLUME_NAME, "sv%02X", (subvolume - 1) & 0xfffU);
}

unsigned path_subvolume(const char *name, size_t len)
{
    /* One spelling a number, so that a disk has one name: no third digit that is a zero. */
    if (len < 4 || len > 5 || name[0] != 's' || name[1] != 'v' || (len == 5 && name[2] == '0'))
        return 0;
    unsigned number = 0;
    for (size_t i = 2; i < len; i++) {
        char c = name[i];
        if (c >= '0' && c <= '9')
            number = number * 16 + (unsigned)(c - '0');
        else if (c >= 'A' && c <= 'F')
            number = number * 16 + (unsigned)(c - 'A') + 10;
        else
            return 0;
    }
    return number + 1;
}

enum status path_key(const struct path *path, struct key *key, size_t *prefix)
{
    /* A base URL may have a path of its own, so "aa/bb/NAME" may stand at any component; its MD5
     * tells whether it is a name. */
    for (const char *at = path->text; at; at = strchr(at + 1, '/')) {
        size_t rest = path->len - (size_t)(at - path->text);
        uint64_t generation;
        enum naming naming;
        if (rest > 7 && at[3] == '/' && at[6] == '/' &&
            !name_parse(at, rest, key, &generation, &naming)) {
            *prefix = (size_t)(at - path->text);
            return ST_OK;
        }
    }
    return ST_NOT_FOUND;
}
