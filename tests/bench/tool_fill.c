/*
 * Fills indexes and volumes faster than any client could, with what larder itself would have
 * written there; the values are missing (index), or of one byte (volume).
 *
 * Usage: tool_fill index DIR KEYS SUBVOLUMES VOLUME...   keys /bench/0000000000 and on, each on the
 *                                                        first three volumes of its order
 *        tool_fill volume DIR KEYS                       files of a volume without subvolumes, as
 *                                                        thick in its directories as those of a
 *                                                        million keys are: sixteen in each
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/key.h"
#include "common/md5.h"
#include "common/name.h"
#include "common/placement.h"
#include "common/record.h"
#include "tools/larder/newindex.h"

enum { COPIES = 3, VOLUMES_MAX = 16, FILES_EACH = 16 };

static const char byte_md5[] = "9dd4e461268c8034f5c8564e155c67a6"; /* of "x" */

static bool make_key(struct key *key, uint64_t number)
{
    char text[64];
    int len = snprintf(text, sizeof text, "/bench/%010llu", (unsigned long long)number);
    return key_from_bytes(key, text, (size_t)len) == ST_OK;
}

/* --- an index --- */

static enum status add_key(struct newindex *index, uint64_t number, const char *const *volumes,
                           size_t count, unsigned subvolumes)
{
    struct key key;
    struct record record;
    struct place places[VOLUMES_MAX];
    if (!make_key(&key, number))
        return ST_INTERNAL;
    record_init(&record);
    record.state = KEY_LIVE;
    memcpy(record.md5, byte_md5, sizeof byte_md5);
    enum status st = placement_rank(&key, volumes, count, subvolumes, places);
    for (size_t i = 0; !st && i < count && i < COPIES; i++)
        st = record_add_place(&record, places[i].name);
    if (!st)
        st = newindex_add(index, &key, &record);
    record_free(&record);
    return st;
}

static int fill_index(const char *dir, uint64_t keys, unsigned subvolumes,
                      const char *const *volumes, size_t count)
{
    struct newindex *index = NULL;
    char *old = NULL;
    enum status st = newindex_begin(&index, dir);
    for (uint64_t i = 0; !st && i < keys; i++)
        st = add_key(index, i, volumes, count, subvolumes);
    if (!st)
        st = newindex_finish(index, &old);
    if (st)
        (void)fprintf(stderr, "tool_fill: filling the index %s: %s\n", dir, status_text(st));
    free(old);
    newindex_free(index);
    return st != ST_OK;
}

/* --- a volume --- */

/* The directories of `path`, which begins with '/', below `dir`. */
static bool make_parents(const char *dir, const char *path)
{
    char whole[2048];
    for (const char *slash = path; (slash = strchr(slash + 1, '/'));) {
        (void)snprintf(whole, sizeof whole, "%s%.*s", dir, (int)(slash - path), path);
        if (mkdir(whole, 0755) != 0 && errno != EEXIST)
            return false;
    }
    return true;
}

static bool write_value(const char *whole)
{
    int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    /* A file system without attributes makes a volume whose MD5s are not known: that counts, too.
     */
    /* In the order in which volumes write them: on ext4 it decides which ones find room in the
     * inode. */
    (void)fsetxattr(fd, "user.larder.size", "1", 1, 0);
    (void)fsetxattr(fd, "user.larder.created", "1700000000000", 13, 0);
    (void)fsetxattr(fd, "user.larder.md5", byte_md5, MD5_HEX, 0);
    bool good = write(fd, "x", 1) == 1;
    return close(fd) == 0 && good;
}

static bool add_file(const char *dir, const struct key *key)
{
    struct buf path = BUF_INIT;
    char whole[2048];
    bool good = name_path(&path, key, 0, NAMING_LARDER) == ST_OK &&
                make_parents(dir, buf_text(&path)) &&
                snprintf(whole, sizeof whole, "%s%s", dir, buf_text(&path)) < (int)sizeof whole &&
                write_value(whole);
    buf_free(&path);
    return good;
}

/* Only keys whose MD5 begins with one of the first bytes are taken, so that fewer keys fill fewer
 * directories just as full. */
static int fill_volume(const char *dir, uint64_t keys)
{
    uint64_t wanted = keys / ((uint64_t)FILES_EACH * 256) + 1;
    bool good = true;
    uint64_t made = 0;
    for (uint64_t i = 0; good && made < keys; i++) {
        struct key key;
        unsigned char digest[MD5_SIZE];
        good = make_key(&key, i) && md5_pair(key.bytes, key.len, NULL, 0, digest) == ST_OK;
        if (!good || digest[0] >= wanted)
            continue;
        good = add_file(dir, &key);
        made++;
    }
    if (!good)
        (void)fprintf(stderr, "tool_fill: filling the volume %s: %s\n", dir, strerror(errno));
    return !good;
}

int main(int argc, char **argv)
{
    uint64_t keys = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    unsigned long subvolumes = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
    if (argc == 4 && strcmp(argv[1], "volume") == 0 && keys)
        return fill_volume(argv[2], keys);
    if (argc > 5 && argc - 5 <= VOLUMES_MAX && strcmp(argv[1], "index") == 0 && subvolumes)
        return fill_index(argv[2], keys, (unsigned)subvolumes, (const char *const *)argv + 5,
                          (size_t)argc - 5);
    (void)fprintf(stderr, "Usage: tool_fill index DIR KEYS SUBVOLUMES VOLUME...\n"
                          "       tool_fill volume DIR KEYS\n");
    return 2;
}
