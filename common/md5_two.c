/*
 * The steps of one or two digests, side by side in the registers: the compiler and the processor
 * mix them. No vectors: two values in the lanes of one would be as fast as here, four a little
 * faster, and so many seldom come at the same time.
 */
#include "common/md5_two.h"

#include <endian.h>
#include <string.h>

enum { BLOCK = 64 };

/* RFC 1321, 3.4, with one operation less; and the sum in G is as good as the or, since no bit is in
 * both, and lets the half that does not wait for the step before be added first. */
#define F(x, y, z) ((z) ^ ((x) & ((y) ^ (z))))
#define G(x, y, z) (((x) & (z)) + ((y) & ~(z)))
#define H(x, y, z) ((x) ^ (y) ^ (z))
#define I(x, y, z) ((y) ^ ((x) | ~(z)))

/* The function, the registers in their order, the word of the block, the rotation, the constant. */
/* clang-format off */
#define ALL_STEPS(S) \
    S(F, a, b, c, d, 0, 7, 0xd76aa478) S(F, d, a, b, c, 1, 12, 0xe8c7b756) \
    S(F, c, d, a, b, 2, 17, 0x242070db) S(F, b, c, d, a, 3, 22, 0xc1bdceee) \
    S(F, a, b, c, d, 4, 7, 0xf57c0faf) S(F, d, a, b, c, 5, 12, 0x4787c62a) \
    S(F, c, d, a, b, 6, 17, 0xa8304613) S(F, b, c, d, a, 7, 22, 0xfd469501) \
    S(F, a, b, c, d, 8, 7, 0x698098d8) S(F, d, a, b, c, 9, 12, 0x8b44f7af) \
    S(F, c, d, a, b, 10, 17, 0xffff5bb1) S(F, b, c, d, a, 11, 22, 0x895cd7be) \
    S(F, a, b, c, d, 12, 7, 0x6b901122) S(F, d, a, b, c, 13, 12, 0xfd987193) \
    S(F, c, d, a, b, 14, 17, 0xa679438e) S(F, b, c, d, a, 15, 22, 0x49b40821) \
    S(G, a, b, c, d, 1, 5, 0xf61e2562) S(G, d, a, b, c, 6, 9, 0xc040b340) \
    S(G, c, d, a, b, 11, 14, 0x265e5a51) S(G, b, c, d, a, 0, 20, 0xe9b6c7aa) \
    S(G, a, b, c, d, 5, 5, 0xd62f105d) S(G, d, a, b, c, 10, 9, 0x02441453) \
    S(G, c, d, a, b, 15, 14, 0xd8a1e681) S(G, b, c, d, a, 4, 20, 0xe7d3fbc8) \
    S(G, a, b, c, d, 9, 5, 0x21e1cde6) S(G, d, a, b, c, 14, 9, 0xc33707d6) \
    S(G, c, d, a, b, 3, 14, 0xf4d50d87) S(G, b, c, d, a, 8, 20, 0x455a14ed) \
    S(G, a, b, c, d, 13, 5, 0xa9e3e905) S(G, d, a, b, c, 2, 9, 0xfcefa3f8) \
    S(G, c, d, a, b, 7, 14, 0x676f02d9) S(G, b, c, d, a, 12, 20, 0x8d2a4c8a) \
    S(H, a, b, c, d, 5, 4, 0xfffa3942) S(H, d, a, b, c, 8, 11, 0x8771f681) \
    S(H, c, d, a, b, 11, 16, 0x6d9d6122) S(H, b, c, d, a, 14, 23, 0xfde5380c) \
    S(H, a, b, c, d, 1, 4, 0xa4beea44) S(H, d, a, b, c, 4, 11, 0x4bdecfa9) \
    S(H, c, d, a, b, 7, 16, 0xf6bb4b60) S(H, b, c, d, a, 10, 23, 0xbebfbc70) \
    S(H, a, b, c, d, 13, 4, 0x289b7ec6) S(H, d, a, b, c, 0, 11, 0xeaa127fa) \
    S(H, c, d, a, b, 3, 16, 0xd4ef3085) S(H, b, c, d, a, 6, 23, 0x04881d05) \
    S(H, a, b, c, d, 9, 4, 0xd9d4d039) S(H, d, a, b, c, 12, 11, 0xe6db99e5) \
    S(H, c, d, a, b, 15, 16, 0x1fa27cf8) S(H, b, c, d, a, 2, 23, 0xc4ac5665) \
    S(I, a, b, c, d, 0, 6, 0xf4292244) S(I, d, a, b, c, 7, 10, 0x432aff97) \
    S(I, c, d, a, b, 14, 15, 0xab9423a7) S(I, b, c, d, a, 5, 21, 0xfc93a039) \
    S(I, a, b, c, d, 12, 6, 0x655b59c3) S(I, d, a, b, c, 3, 10, 0x8f0ccc92) \
    S(I, c, d, a, b, 10, 15, 0xffeff47d) S(I, b, c, d, a, 1, 21, 0x85845dd1) \
    S(I, a, b, c, d, 8, 6, 0x6fa87e4f) S(I, d, a, b, c, 15, 10, 0xfe2ce6e0) \
    S(I, c, d, a, b, 6, 15, 0xa3014314) S(I, b, c, d, a, 13, 21, 0x4e0811a1) \
    S(I, a, b, c, d, 4, 6, 0xf7537e82) S(I, d, a, b, c, 11, 10, 0xbd3af235) \
    S(I, c, d, a, b, 2, 15, 0x2ad7d2bb) S(I, b, c, d, a, 9, 21, 0xeb86d391)
/* clang-format on */

static inline uint32_t word(const unsigned char *block, unsigned k)
{
    uint32_t value;
    memcpy(&value, block + (size_t)4 * k, sizeof value);
    return le32toh(value);
}

static inline uint32_t rotate(uint32_t value, unsigned by)
{
    return value << by | value >> (32 - by);
}

#define STEP(f, a, b, c, d, block, k, by, t)                                                       \
    (a) += word(block, k) + (t);                                                                   \
    (a) += f(b, c, d);                                                                             \
    (a) = rotate(a, by) + (b);

#define ONE(f, a, b, c, d, k, by, t) STEP(f, a##0, b##0, c##0, d##0, x, k, by, t)
#define TWO(f, a, b, c, d, k, by, t)                                                               \
    STEP(f, a##0, b##0, c##0, d##0, x, k, by, t) STEP(f, a##1, b##1, c##1, d##1, y, k, by, t)

static void add_blocks(uint32_t state[4], const unsigned char *x, size_t blocks)
{
    for (; blocks > 0; blocks--, x += BLOCK) {
        uint32_t a0 = state[0], b0 = state[1], c0 = state[2], d0 = state[3];
        ALL_STEPS(ONE)
        state[0] += a0, state[1] += b0, state[2] += c0, state[3] += d0;
    }
}

static void add_blocks_of_two(uint32_t first[4], const unsigned char *x, uint32_t second[4],
                              const unsigned char *y, size_t blocks)
{
    for (; blocks > 0; blocks--, x += BLOCK, y += BLOCK) {
        uint32_t a0 = first[0], b0 = first[1], c0 = first[2], d0 = first[3];
        uint32_t a1 = second[0], b1 = second[1], c1 = second[2], d1 = second[3];
        ALL_STEPS(TWO)
        first[0] += a0, first[1] += b0, first[2] += c0, first[3] += d0;
        second[0] += a1, second[1] += b1, second[2] += c1, second[3] += d1;
    }
}

void md5_run_begin(struct md5_run *run)
{
    *run = (struct md5_run){.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}};
}

static void move_on(struct md5_more *more, size_t len)
{
    if (len > 0) /* else there may be no data at all */
        more->data = (const unsigned char *)more->data + len;
    more->len -= len;
}

static void count(struct md5_more *more, size_t len)
{
    more->run->length += len;
    move_on(more, len);
}

/* Puts what comes first to what was left over before, up to a whole block. */
static void fill_tail(struct md5_more *more)
{
    struct md5_run *run = more->run;
    size_t have = run->length % BLOCK;
    if (have == 0 || more->len == 0)
        return;
    size_t n = more->len < BLOCK - have ? more->len : BLOCK - have;
    memcpy(run->tail + have, more->data, n);
    count(more, n);
    if (have + n == BLOCK)
        add_blocks(run->state, run->tail, 1);
}

void md5_run_add(struct md5_more *more)
{
    fill_tail(more);
    size_t blocks = more->len / BLOCK;
    add_blocks(more->run->state, more->data, blocks);
    count(more, blocks * BLOCK);
    if (more->len > 0)
        memcpy(more->run->tail, more->data, more->len);
    count(more, more->len);
}

void md5_run_add_both(struct md5_more *a, struct md5_more *b)
{
    size_t len = a->len < b->len ? a->len : b->len;
    struct md5_more first = {a->run, a->data, len};
    struct md5_more second = {b->run, b->data, len};
    fill_tail(&first);
    fill_tail(&second);
    size_t blocks = (first.len < second.len ? first.len : second.len) / BLOCK;
    add_blocks_of_two(first.run->state, first.data, second.run->state, second.data, blocks);
    count(&first, blocks * BLOCK);
    count(&second, blocks * BLOCK);
    md5_run_add(&first);
    md5_run_add(&second);
    move_on(a, len);
    move_on(b, len);
}

/* RFC 1321, 3.1 and 3.2: a bit that is set, zeros, the length in bits. */
void md5_run_end(struct md5_run *run, unsigned char digest[MD5_SIZE])
{
    static const unsigned char padding[BLOCK] = {0x80};
    uint64_t bits = htole64(run->length * 8);
    size_t have = run->length % BLOCK;
    struct md5_more more = {run, padding, have < 56 ? 56 - have : 120 - have};
    md5_run_add(&more);
    more = (struct md5_more){run, &bits, sizeof bits};
    md5_run_add(&more);
    for (size_t i = 0; i < 4; i++) {
        uint32_t part = htole32(run->state[i]);
        memcpy(digest + 4 * i, &part, sizeof part);
    }
}
