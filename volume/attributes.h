/* The extended attributes of a value, as they were read (common/PROTOCOL.md, 'Files of a volume').
 */
#ifndef LARDER_VOLUME_ATTRIBUTES_H
#define LARDER_VOLUME_ATTRIBUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/md5.h"

enum { STORE_TYPE_MAX = 255 }; /* bytes of a Content-Type that is kept */
/* The Content-Type of a value that has none; it is not kept as an attribute. */
#define STORE_TYPE_USUAL "application/octet-stream"

/* The attributes that a value bears. */
struct store_attributes {
    char md5[MD5_HEX + 1];         /* "": none */
    char type[STORE_TYPE_MAX + 1]; /* "": none */
    bool has_size;                 /* `size` is known */
    uint64_t size;                 /* that it must have */
    uint64_t created;              /* unix milliseconds; 0: none */
    bool unlinked;                 /* an UNLINK was noted in it */
    bool broken;                   /* a digest or a size is there, and cannot be one */
};

#endif
