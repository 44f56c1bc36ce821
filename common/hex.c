/*
 * Not a table and not <ctype.h>: it is called for escapes and sizes of chunks only, and its answer
 * must not depend on the locale.
 */
#include "common/hex.h"

int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}
