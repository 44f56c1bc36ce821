/*
 * MD5 (RFC 1321) of two values at a time. Each step of an MD5 waits for the one before it, so a
 * processor stands idle for half of it; the steps of another value in between cost next to nothing:
 * two values take 1.1 times as long as one. OpenSSL (common/md5.h) has one at a time only. The
 * digests are the same; tests compare them.
 */
#ifndef LARDER_COMMON_MD5_TWO_H
#define LARDER_COMMON_MD5_TWO_H

#include <stddef.h>
#include <stdint.h>

#include "common/md5.h"

/* A running digest. One thread at a time; nothing to be freed. */
struct md5_run {
    uint32_t state[4];
    uint64_t length;        /* bytes so far */
    unsigned char tail[64]; /* length % 64 of them that make no block yet */
};

void md5_run_begin(struct md5_run *run);

/* What is to be added to one. It moves on with what has been added. */
struct md5_more {
    struct md5_run *run;
    const void *data;
    size_t len;
};

/* All of it. */
void md5_run_add(struct md5_more *more);
/* To two that are not the same, as many bytes of each as the shorter one has. */
void md5_run_add_both(struct md5_more *a, struct md5_more *b);

/* Ends it; nothing may be added afterwards. */
void md5_run_end(struct md5_run *run, unsigned char digest[MD5_SIZE]);

#endif
