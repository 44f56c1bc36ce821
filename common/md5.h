/*
 * MD5 (RFC 1321) by OpenSSL, the only user of it. Hex is lower case, 32 digits. MD5 is what
 * minikeyvalue places and checks values with; it finds damage, and is no protection against
 * forgery.
 */
#ifndef LARDER_COMMON_MD5_H
#define LARDER_COMMON_MD5_H

#include <stddef.h>

#include "common/attr.h"
#include "common/status.h"

enum { MD5_SIZE = 16, MD5_HEX = 32 };

struct md5;

/* A running digest, or NULL where memory or the algorithm is missing (OpenSSL may be configured
 * without it). Free with md5_free(). One thread at a time. */
struct md5 *md5_new(void) MUST_CHECK;
void md5_free(struct md5 *md5);

/* Adds bytes. A failure is remembered and reported by md5_finish(). */
void md5_update(struct md5 *md5, const void *data, size_t len);

/* Ends the digest; it may not be updated afterwards. ST_INTERNAL where any step failed. */
enum status md5_finish(struct md5 *md5, unsigned char digest[MD5_SIZE]) MUST_CHECK;

/* Of two pieces in one go (`b` may be NULL with b_len 0): the hot path of placement. Any thread.
 * ST_NO_MEMORY, ST_INTERNAL. */
enum status md5_pair(const void *a, size_t a_len, const void *b, size_t b_len,
                     unsigned char digest[MD5_SIZE]) MUST_CHECK;

/* 32 hex digits and a NUL. */
void md5_hex(const unsigned char digest[MD5_SIZE], char hex[MD5_HEX + 1]);

/* Parses a digest as a client may send it, 32 hex digits or base64 (RFC 1864: Content-MD5), into
 * lower-case hex. 0, or -1 where it is neither. The two cannot be confused: 32 characters, and
 * 24. */
int md5_parse(const char *text, char hex[MD5_HEX + 1]) MUST_CHECK;

#endif
