/* Base64 (RFC 4648, section 4), with padding. */
#ifndef LARDER_COMMON_BASE64_H
#define LARDER_COMMON_BASE64_H

#include <stddef.h>

#include "common/attr.h"

struct buf;

/* Characters that `len` bytes take, without a NUL. */
#define BASE64_LENGTH(len) (((len) + 2) / 3 * 4)

/* `to` has room for BASE64_LENGTH(len), and gets no NUL. The number of characters. */
size_t base64_encode(char *to, const void *bytes, size_t len);
/* Appends to a buffer. */
void base64_add(struct buf *out, const void *bytes, size_t len);

/* Strict: the canonical form only, as the encoder writes it. The number of bytes; -1 where the text
 * is not that, is empty, or says more than `max` bytes. */
long base64_decode(char *to, size_t max, const char *text, size_t len) MUST_CHECK;

#endif
