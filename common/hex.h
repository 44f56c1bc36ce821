/* A hexadecimal digit, as escapes in URIs and the sizes of chunks have them. */
#ifndef LARDER_COMMON_HEX_H
#define LARDER_COMMON_HEX_H

/* 0 to 15, or -1 where it is none. Not isxdigit(), which asks the locale. */
int hex_value(char c);

#endif
