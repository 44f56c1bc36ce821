/*
 * Who computes an MD5 of a large value. Each volume does, for its own record of the value; done
 * here once more it was a third of this process' CPU, and on a cluster this process is what all
 * values go through. Two volumes that have the same MD5 without having heard of each other's have
 * the same bytes; so one that received others is found out as before. What is given up by that: a
 * byte that changes in this process' own memory, between the client's socket and the volumes',
 * changes for all of them.
 */
#include "master/sum.h"

#include <string.h>

#include "common/planted.h"

enum status sum_begin(struct sum *sum, enum sum_by by, const char *given)
{
    *sum = (struct sum){.by = by};
    if (by == SUM_GIVEN)
        memcpy(sum->md5, given, MD5_HEX);
    if (by == SUM_HERE && !(sum->digest = md5_new()))
        return ST_NO_MEMORY;
    return ST_OK;
}

enum status sum_take_over(struct sum *sum, const void *data, size_t len)
{
    struct md5 *digest = md5_new();
    if (!digest)
        return ST_NO_MEMORY;
    md5_update(digest, data, len);
    sum->digest = digest;
    sum->by = SUM_HERE;
    return ST_OK;
}

void sum_add(struct sum *sum, const void *data, size_t len)
{
    if (sum->digest)
        md5_update(sum->digest, data, len);
}

enum status sum_end(struct sum *sum)
{
    unsigned char digest[MD5_SIZE];
    if (!sum->digest)
        return ST_OK;
    enum status st = md5_finish(sum->digest, digest);
    md5_hex(digest, sum->md5);
    return st;
}

/* Plain servers say nothing, and are believed where the MD5 is known without them. */
const char *sum_refuses(struct sum *sum, const char *said)
{
    char hex[MD5_HEX + 1];
    bool known = sum->md5[0] != 0;
    if (sum->by == SUM_VOLUMES && (!said || md5_parse(said, hex)))
        return "the volume does not say what it stored: no MD5";
    if (sum->by == SUM_VOLUMES && !known) {
        memcpy(sum->md5, hex, sizeof hex);
        return NULL;
    }
    if (!said || !known || planted("skip-md5"))
        return NULL;
    if (!md5_parse(said, hex) && strcmp(hex, sum->md5) == 0)
        return NULL;
    sum->wrong = true;
    sum->differs = sum->by == SUM_VOLUMES;
    return sum->differs ? "it stored something else than another volume: their MD5s differ"
                        : "the volume stored something else: its MD5 differs";
}

void sum_free(struct sum *sum)
{
    md5_free(sum->digest);
    sum->digest = NULL;
}
