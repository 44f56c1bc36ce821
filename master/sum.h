/*
 * The MD5 of a value on its way to several volumes, and whether what a volume says that it stored
 * is that value. Either it is computed here, or the volumes, which compute it anyway, must agree.
 */
#ifndef LARDER_MASTER_SUM_H
#define LARDER_MASTER_SUM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/md5.h"
#include "common/status.h"

enum sum_by {
    SUM_NOBODY,  /* nothing is compared */
    SUM_GIVEN,   /* it is known beforehand */
    SUM_HERE,    /* computed from the bytes as they come in */
    SUM_VOLUMES, /* the first volume that answers says it, and all others must say the same */
};

struct sum {
    enum sum_by by;
    struct md5 *digest;    /* SUM_HERE */
    char md5[MD5_HEX + 1]; /* "": not known (yet) */
    bool wrong;            /* a volume stored something else */
    bool differs;          /* SUM_VOLUMES: they do not agree, and nobody knows who is right */
};

/* `given` is for SUM_GIVEN: 32 hex digits, copied. ST_NO_MEMORY; sum_free() in any case. */
enum status sum_begin(struct sum *sum, enum sum_by by, const char *given) MUST_CHECK;
/* From SUM_VOLUMES to SUM_HERE, because a volume is to take part that tells no MD5. `data` is all
 * of the value that has come in so far. ST_NO_MEMORY: nothing has changed. */
enum status sum_take_over(struct sum *sum, const void *data, size_t len) MUST_CHECK;
/* Bytes of the value, in order. */
void sum_add(struct sum *sum, const void *data, size_t len);
/* The value is complete: sum->md5 is known, but by SUM_VOLUMES and SUM_NOBODY. ST_INTERNAL. */
enum status sum_end(struct sum *sum) MUST_CHECK;
/* A volume answered that it stored the value; `said` is its Content-MD5, or NULL. NULL where the
 * copy may count, else why not, for people. */
const char *sum_refuses(struct sum *sum, const char *said);
void sum_free(struct sum *sum);

#endif
