#include "common/base64.h"

#include "common/buf.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* A character's six bits and 1 above them; 0 for one that is not in the alphabet. (A table, since
 * the entries of a replicated log come as megabytes of this.) */
#define D(c, bits) [(unsigned char)(c)] = ((bits) + 1)
static const unsigned char digits[256] = {
    D('A', 0),  D('B', 1),  D('C', 2),  D('D', 3),  D('E', 4),  D('F', 5),  D('G', 6),  D('H', 7),
    D('I', 8),  D('J', 9),  D('K', 10), D('L', 11), D('M', 12), D('N', 13), D('O', 14), D('P', 15),
    D('Q', 16), D('R', 17), D('S', 18), D('T', 19), D('U', 20), D('V', 21), D('W', 22), D('X', 23),
    D('Y', 24), D('Z', 25), D('a', 26), D('b', 27), D('c', 28), D('d', 29), D('e', 30), D('f', 31),
    D('g', 32), D('h', 33), D('i', 34), D('j', 35), D('k', 36), D('l', 37), D('m', 38), D('n', 39),
    D('o', 40), D('p', 41), D('q', 42), D('r', 43), D('s', 44), D('t', 45), D('u', 46), D('v', 47),
    D('w', 48), D('x', 49), D('y', 50), D('z', 51), D('0', 52), D('1', 53), D('2', 54), D('3', 55),
    D('4', 56), D('5', 57), D('6', 58), D('7', 59), D('8', 60), D('9', 61), D('+', 62), D('/', 63),
};
#undef D

size_t base64_encode(char *to, const void *bytes, size_t len)
{
    const unsigned char *in = bytes;
    size_t n = 0;
    for (size_t i = 0; i < len; i += 3) {
        unsigned b1 = i + 1 < len ? in[i + 1] : 0u;
        unsigned b2 = i + 2 < len ? in[i + 2] : 0u;
        unsigned bits = (unsigned)in[i] << 16 | b1 << 8 | b2;
        to[n++] = alphabet[bits >> 18];
        to[n++] = alphabet[bits >> 12 & 63];
        to[n++] = i + 1 < len ? alphabet[bits >> 6 & 63] : '=';
        to[n++] = i + 2 < len ? alphabet[bits & 63] : '=';
    }
    return n;
}

void base64_add(struct buf *out, const void *bytes, size_t len)
{
    enum { PIECE = 3 * 1024 };
    char text[BASE64_LENGTH(PIECE)];
    const char *at = bytes;
    while (len) {
        size_t piece = len < PIECE ? len : PIECE;
        buf_add(out, text, base64_encode(text, at, piece));
        at += piece;
        len -= piece;
    }
}

long base64_decode(char *to, size_t max, const char *text, size_t len)
{
    if (len == 0 || len % 4)
        return -1;
    size_t pad = text[len - 1] == '=' ? (text[len - 2] == '=' ? 2 : 1) : 0;
    size_t bytes = len / 4 * 3 - pad;
    if (bytes > max)
        return -1;
    size_t n = 0;
    for (size_t i = 0; i < len; i += 4) {
        unsigned bits = 0;
        for (size_t j = 0; j < 4; j++) {
            bool padding = i + j >= len - pad;
            unsigned digit = padding ? 1 : digits[(unsigned char)text[i + j]];
            if (digit == 0)
                return -1;
            bits = bits << 6 | (digit - 1);
        }
        for (size_t j = 0; j < 3; j++) {
            unsigned byte = bits >> (16 - 8 * j) & 255;
            if (n < bytes)
                to[n++] = (char)byte;
            else if (byte)
                return -1; /* bits behind the end: not canonical */
        }
    }
    return (long)n;
}
