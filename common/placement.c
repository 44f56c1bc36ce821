/*
 * minikeyvalue's key2volume, byte for byte: the place of a value must come out the same whoever
 * computes it, minikeyvalue's own master over larder's volumes included.
 * tests/unit/common_placement.c has its vectors.
 */
#include "common/placement.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/md5.h"

/* A volume, by its position in the caller's list, and its MD5(key + name). */
struct scored {
    unsigned char score[MD5_SIZE];
    size_t volume;
};

/* Descending by score; equal scores keep their order, as minikeyvalue's stable sort does. */
static int compare(const void *a, const void *b)
{
    const struct scored *x = a;
    const struct scored *y = b;
    int order = memcmp(y->score, x->score, MD5_SIZE);
    if (order)
        return order;
    return x->volume < y->volume ? -1 : x->volume > y->volume;
}

/* The order goes by the first bytes of the score; the subvolume is taken from the last four, so the
 * one says nothing of the other. */
static unsigned subvolume_of(const unsigned char *score, unsigned subvolumes)
{
    uint32_t low = (uint32_t)score[12] << 24 | (uint32_t)score[13] << 16 |
                   (uint32_t)score[14] << 8 | (uint32_t)score[15];
    return low % subvolumes;
}

/* "/svXX": a NUL behind it, no format, since each GET asks for a few of them. `to` has room for 16
 * bytes. */
static void write_subvolume(char *to, unsigned number)
{
    static const char digits[] = "0123456789ABCDEF";
    unsigned width = 2;
    while (width < 8 && number >> (4 * width))
        width++;
    to = mempcpy(to, "/sv", 3);
    while (width--)
        *to++ = digits[number >> (4 * width) & 15];
    *to = 0;
}

static void place_name(struct place *place, const char *volume, const unsigned char *score,
                       unsigned subvolumes)
{
    size_t len = strnlen(volume, VOLUME_NAME_MAX);
    char *end = mempcpy(place->name, volume, len);
    *end = 0;
    if (subvolumes > 1)
        write_subvolume(end, subvolume_of(score, subvolumes));
}

/* The list is sorted as a whole, though only the first few take copies: volumes that are down are
 * passed over, and who comes next must be known. */
enum status placement_rank(const struct key *key, const char *const *volumes, size_t count,
                           unsigned subvolumes, struct place *places)
{
    if (count == 0)
        return ST_OK;
    struct scored *list = malloc(count * sizeof *list);
    if (!list)
        return ST_NO_MEMORY;
    enum status st = ST_OK;
    for (size_t i = 0; i < count && !st; i++) {
        list[i].volume = i;
        st = md5_pair(key->bytes, key->len, volumes[i], strlen(volumes[i]), list[i].score);
    }
    if (!st) {
        qsort(list, count, sizeof *list, compare);
        for (size_t i = 0; i < count; i++) {
            places[i].volume = list[i].volume;
            place_name(&places[i], volumes[list[i].volume], list[i].score, subvolumes);
        }
    }
    free(list);
    return st;
}

/* Sorted by insertion: of equal scores the one that was offered first stays first, as above. */
enum status placement_offer(struct placement_best *best, const struct key *key, const char *volume,
                            size_t len)
{
    unsigned char score[MD5_SIZE];
    enum status st = md5_pair(key->bytes, key->len, volume, len, score);
    if (st)
        return st;
    size_t at = best->count;
    while (at && memcmp(score, best->list[at - 1].score, MD5_SIZE) > 0)
        at--;
    if (at == best->most)
        return ST_OK;
    if (best->count < best->most)
        best->count++;
    memmove(&best->list[at + 1], &best->list[at], (best->count - at - 1) * sizeof best->list[0]);
    memcpy(best->list[at].score, score, MD5_SIZE);
    best->list[at].volume = volume;
    best->list[at].len = len;
    return ST_OK;
}

bool placement_is(const struct placement_best *best, size_t i, unsigned subvolumes,
                  const char *place)
{
    char subvolume[16] = "";
    if (subvolumes > 1)
        write_subvolume(subvolume, subvolume_of(best->list[i].score, subvolumes));
    return strncmp(place, best->list[i].volume, best->list[i].len) == 0 &&
           strcmp(place + best->list[i].len, subvolume) == 0;
}

/* "host:port" with a port of 1 to 65535; the host may be a bracketed IPv6 address. The host is not
 * looked up: a volume may be down, and its name unknown, when it is added. */
static bool good_address(const char *text, size_t len)
{
    const char *colon = memrchr(text, ':', len);
    if (!colon || colon == text)
        return false;
    size_t digits = (size_t)(text + len - colon - 1);
    if (digits < 1 || digits > 5)
        return false;
    unsigned port = 0;
    for (size_t i = 0; i < digits; i++) {
        if (!isdigit((unsigned char)colon[1 + i]))
            return false;
        port = port * 10 + (unsigned)(colon[1 + i] - '0');
    }
    size_t host = (size_t)(colon - text);
    bool bracketed = text[0] == '[' && text[host - 1] == ']';
    return port >= 1 && port <= 65535 && (bracketed || !memchr(text, ':', host));
}

/* Components of a path: none empty, none '.' or '..'. */
static bool good_path(const char *text, size_t len)
{
    while (len) {
        const char *slash = memchr(text, '/', len);
        size_t part = slash ? (size_t)(slash - text) : len;
        if (part == 0 || (part == 1 && text[0] == '.') ||
            (part == 2 && text[0] == '.' && text[1] == '.'))
            return false;
        text += part;
        len -= part;
        if (len) {
            text++;
            len--;
            if (!len)
                return false;
        }
    }
    return true;
}

/* The name is part of what is hashed: two spellings of one volume would be two volumes, and two
 * copies of a value could land on one disk. So there is one spelling, and what could be read in
 * another way in a list, a URL or a header is refused. */
enum status placement_volume_name(const char *text, size_t len, char name[VOLUME_NAME_MAX + 1])
{
    static const char scheme[] = "http://";
    if (len >= sizeof scheme - 1 && memcmp(text, scheme, sizeof scheme - 1) == 0) {
        text += sizeof scheme - 1;
        len -= sizeof scheme - 1;
    }
    while (len && text[len - 1] == '/')
        len--;
    if (len == 0 || len > VOLUME_NAME_MAX)
        return ST_BAD_REQUEST;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f || strchr(",?#@\"<>\\%", c))
            return ST_BAD_REQUEST;
    }
    const char *slash = memchr(text, '/', len);
    size_t address = slash ? (size_t)(slash - text) : len;
    if (!good_address(text, address) || (slash && !good_path(slash + 1, len - address - 1)))
        return ST_BAD_REQUEST;
    memcpy(name, text, len);
    name[len] = 0;
    return ST_OK;
}
