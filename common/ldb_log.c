/*
 * Finds what LevelDB's log reader (db/log_reader.cc) takes for the end of a log and is none. The
 * format is that of its doc/log_format.md; a MANIFEST is a log too.
 *
 * What may follow the place where a writer was interrupted? Nothing: LevelDB only appends. So one
 * sound record behind such a place, or one block of anything, proves that the place is damage, and
 * an end without anything behind it stays what LevelDB takes it for. Records that are damaged in
 * other ways have a wrong checksum, which LevelDB reports with paranoid checks; they are not looked
 * at here.
 */
#include "common/ldb_log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The format: blocks of 32 KiB; in them records of checksum (4), length (2), type (1) and data, all
 * little-endian; the rest of a block that is too short for a header is zeros. Types: 1 full, 2
 * first, 3 middle, 4 last; no record crosses the end of a block. */
enum { BLOCK = 32768, HEADER = 7, TYPE_MAX = 4 };

/* CRC-32C (Castagnoli; 0x82f63b78 is its polynomial with the bits reversed) of type and data, a bit
 * at a time: only what looks like a record is ever summed. */
static uint32_t crc32c(const unsigned char *data, size_t len)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
    }
    return ~crc;
}

static size_t record_length(const unsigned char *at)
{
    return (size_t)at[4] | (size_t)at[5] << 8;
}

/* Whether `room` bytes begin with a whole record that is sound. */
static bool is_record(const unsigned char *at, size_t room)
{
    if (room < HEADER || at[6] == 0 || at[6] > TYPE_MAX || record_length(at) > room - HEADER)
        return false;
    uint32_t stored =
        (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    uint32_t crc = crc32c(at + 6, record_length(at) + 1);
    return stored == ((crc >> 15 | crc << 17) + 0xa282ead8); /* stored masked: util/crc32c.h */
}

/* Where LevelDB would take the log for ended in this block, or `len`: at a header of zeros (left by
 * an environment that allocates ahead), or at a record that is longer than the last block (its
 * writer died). Other damage it reports. */
static size_t silent_end(const unsigned char *block, size_t len, bool last)
{
    size_t at = 0;
    while (len - at >= HEADER) {
        size_t length = record_length(block + at);
        if (block[at + 6] == 0 && length == 0)
            return at;
        if (length > len - at - HEADER)
            return last ? at : len;
        at += HEADER + length;
    }
    return len;
}

/* A sound record after the place at which LevelDB stops reading this block. It may begin at any
 * byte, since the damaged length does not tell where; that a checksum fits by chance at one of so
 * many is 1 in 2^32 each. */
static bool hides_records(const unsigned char *block, size_t len, bool last)
{
    for (size_t at = silent_end(block, len, last) + 1; at + HEADER <= len; at++)
        if (is_record(block + at, len - at))
            return true;
    return false;
}

/* A whole block, or what is left of the file. */
static size_t read_block(int fd, unsigned char *block)
{
    size_t len = 0;
    while (len < BLOCK) {
        ssize_t n = read(fd, block + len, BLOCK - len);
        if (n <= 0)
            break; /* an error is LevelDB's to tell */
        len += (size_t)n;
    }
    return len;
}

/* Two blocks, in turn: whether one is the last is known when the next has been asked for. A block
 * of zeros that others follow is damage too: LevelDB would go on with the next one, and not miss
 * what was there. */
static bool is_damaged(int fd, unsigned char *blocks)
{
    unsigned char *now = blocks;
    unsigned char *next = blocks + BLOCK;
    size_t len = read_block(fd, now);
    while (len > 0) {
        size_t next_len = len == BLOCK ? read_block(fd, next) : 0;
        bool last = next_len == 0;
        size_t end = silent_end(now, len, last);
        bool stops = end < len && len - end >= HEADER;
        if ((stops && !last) || hides_records(now, len, last))
            return true;
        unsigned char *swap = now;
        now = next;
        next = swap;
        len = next_len;
    }
    return false;
}

/* LevelDB's names: 000123.log, MANIFEST-000122. Tables (.ldb) have checksums of their own
 * everywhere. */
static bool is_log(const char *name)
{
    size_t len = strlen(name);
    return (len > 4 && strcmp(name + len - 4, ".log") == 0) || strncmp(name, "MANIFEST-", 9) == 0;
}

static enum status check_file(int dir_fd, const char *name, unsigned char *blocks, char **error)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ST_OK;
    bool damaged = is_damaged(fd, blocks);
    (void)close(fd); /* it was only read */
    if (!damaged)
        return ST_OK;
    if (error && asprintf(error, "Corruption: %s ends before its last record", name) < 0)
        *error = NULL;
    return ST_CORRUPT;
}

enum status ldb_log_check(const char *path, char **error)
{
    enum status st = ST_OK;
    DIR *dir = opendir(path);
    if (!dir)
        return ST_OK;
    unsigned char *blocks = malloc((size_t)2 * BLOCK);
    if (!blocks)
        st = ST_NO_MEMORY;
    for (const struct dirent *entry; !st && (entry = readdir(dir));)
        if (is_log(entry->d_name))
            st = check_file(dirfd(dir), entry->d_name, blocks, error);
    free(blocks);
    (void)closedir(dir);
    return st;
}
