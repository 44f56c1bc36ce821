/*
 * The format stands in the header. Why a LevelDB: a store has more files than memory has room for,
 * they are found in the order of directories (which are digests of keys) and are wanted in the
 * order of keys; LevelDB sorts them as they come. Never synced: it is begun anew after a crash.
 *
 * Threads: a writer and a reader belong to one thread each; the database takes all of them. A
 * reader sees what was there when it was made, so it is made after the writers have flushed.
 *
 * An entry's KEY ends at the first NUL, which no key has; what follows has a length of its own by
 * its kind ('f', 'q', 't'), so NULs in the numbers do no harm.
 */
#include "tools/larder/scan.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/grow.h"
#include "common/ldb.h"
#include "tools/larder/say.h"

enum {
    BATCH_ENTRIES = 1000, /* of a write; some hundred KiB */
    BUFFER_BYTES =
        32 * 1024 * 1024, /* LevelDB's memtable: large, so there are fewer tables to merge */
    TAIL_FILE = 1 + 1 + 8 + 4 + 1, /* what follows KEY in the key of an entry */
    TAIL_BARE = 1 + 1 + 8 + 4,
    VALUE_FILE = 1 + 8 + 8 + 8 + MD5_SIZE,
    ENTRY_MAX = KEY_MAX + TAIL_FILE
};

/* Bits of FLAGS; 'unlinked', and which of the optional members are there. */
enum { FLAG_UNLINKED = 1, FLAG_EXPECTED = 2, FLAG_MD5 = 4 };

/* Before every key, since keys begin with '/'. */
static const unsigned char suspects[2] = {0, 's'};

/* Shared by writers and readers of all threads. */
struct scan {
    struct ldb *db;
    char *path;
    atomic_bool failed; /* a write did; the others that fail with it say nothing more */
};

/* One thread's; loses what was not flushed. */
struct scan_writer {
    struct scan *scan;
    struct ldb_batch *batch;
    size_t entries;
};

/* One thread's; sees the scan as it was when it was made. */
struct scan_reader {
    struct ldb_iter *iter;
    bool begun; /* the iterator stands somewhere */
};

/* --- groups --- */

/* The memory stays for the next key. */
void scan_group_clear(struct scan_group *group)
{
    group->file_count = 0;
    group->tombstone_count = 0;
    group->quarantined = 0;
}

void scan_group_free(struct scan_group *group)
{
    free(group->files);
    free(group->tombstones);
    memset(group, 0, sizeof *group);
}

/* A key has a few files mostly, and one that was overwritten all day thousands. */
enum status scan_group_add_file(struct scan_group *group, const struct scan_file *file)
{
    struct scan_file *files =
        grow_list(group->files, group->file_count, &group->file_room, sizeof *files);
    if (!files)
        return ST_NO_MEMORY;
    group->files = files;
    group->files[group->file_count++] = *file;
    return ST_OK;
}

enum status scan_group_add_tombstone(struct scan_group *group, uint64_t generation, uint32_t place)
{
    struct scan_tombstone *tombstones = grow_list(group->tombstones, group->tombstone_count,
                                                  &group->tombstone_room, sizeof *tombstones);
    if (!tombstones)
        return ST_NO_MEMORY;
    group->tombstones = tombstones;
    group->tombstones[group->tombstone_count++] = (struct scan_tombstone){generation, place};
    return ST_OK;
}

void scan_group_add_quarantined(struct scan_group *group, uint64_t generation, uint32_t place)
{
    if (group->quarantined == 0 || generation > group->quarantined_generation) {
        group->quarantined_generation = generation;
        group->quarantined_place = place;
    }
    group->quarantined++;
}

/* --- opening and removing --- */

/* Takes `why` over, and returns `st` for the caller to hand on. */
static enum status scan_say(const char *doing, const char *path, enum status st, char *why)
{
    if (st == ST_LOCKED)
        say_error("%s %s: another run is at work on it; wait for it to end", doing, path);
    else
        say_error("%s %s: %s; is there space and the right to write?", doing, path,
                  why ? why : status_text(st));
    free(why);
    return st;
}

/* What is left of an earlier run is removed before: LevelDB's own lock keeps two runs at once
 * apart. */
enum status scan_open(struct scan **made, const char *path)
{
    *made = NULL;
    struct stat there;
    if (stat(path, &there) == 0) {
        enum status st = ldb_destroy(path);
        if (st)
            return scan_say("could not remove the old scratch database", path, st, NULL);
    }
    struct scan *scan = calloc(1, sizeof *scan);
    if (!scan)
        return ST_NO_MEMORY;
    scan->path = strdup(path);
    const struct ldb_options options = {
        .create = true, .exclusive = true, .buffer_bytes = BUFFER_BYTES};
    char *why = NULL;
    enum status st = scan->path ? ldb_open(&scan->db, path, &options, &why) : ST_NO_MEMORY;
    if (st) {
        free(scan->path);
        free(scan);
        return scan_say("could not make the scratch database", path, st, why);
    }
    *made = scan;
    return ST_OK;
}

/* After all writers and readers have been freed: LevelDB does not close under an iterator. */
void scan_discard(struct scan *scan)
{
    if (!scan)
        return;
    ldb_close(scan->db);
    enum status st = ldb_destroy(scan->path);
    if (st)
        say_error("could not remove the scratch database %s (%s); remove it by hand", scan->path,
                  status_text(st));
    free(scan->path);
    free(scan);
}

/* --- numbers --- */

/* Big-endian, so that the order of bytes is that of numbers. */
static void put_number(unsigned char *to, uint64_t number, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--) {
        to[i] = (unsigned char)number;
        number >>= 8;
    }
}

static uint64_t take_number(const unsigned char *from, int bytes)
{
    uint64_t number = 0;
    for (int i = 0; i < bytes; i++)
        number = number << 8 | from[i];
    return number;
}

/* The hex is md5_parse()'s, so it is lower case and complete. */
static void put_md5(unsigned char to[MD5_SIZE], const char *hex)
{
    for (size_t i = 0; i < MD5_SIZE; i++) {
        unsigned digit[2];
        for (size_t j = 0; j < 2; j++) {
            unsigned char c = (unsigned char)hex[2 * i + j];
            digit[j] = c <= '9' ? c - (unsigned)'0' : c - (unsigned)'a' + 10;
        }
        to[i] = (unsigned char)(digit[0] << 4 | digit[1]);
    }
}

/* --- writing --- */

struct scan_writer *scan_writer_new(struct scan *scan)
{
    struct scan_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return NULL;
    writer->scan = scan;
    writer->batch = ldb_batch_new();
    if (!writer->batch) {
        free(writer);
        return NULL;
    }
    return writer;
}

void scan_writer_free(struct scan_writer *writer)
{
    if (!writer)
        return;
    ldb_batch_free(writer->batch);
    free(writer);
}

/* The batch is emptied also where it failed: a failure ends the run. */
enum status scan_flush(struct scan_writer *writer)
{
    if (writer->entries == 0)
        return ST_OK;
    char *why = NULL;
    enum status st = ldb_write(writer->scan->db, writer->batch, false, &why);
    ldb_batch_clear(writer->batch);
    writer->entries = 0;
    if (st && !atomic_exchange(&writer->scan->failed, true))
        return scan_say("could not write to the scratch database", writer->scan->path, st, why);
    free(why);
    return st;
}

/* Batches are what makes this fast: LevelDB takes its lock once for each. */
static enum status added(struct scan_writer *writer)
{
    return ++writer->entries < BATCH_ENTRIES ? ST_OK : scan_flush(writer);
}

/* Two files of one key, generation, place and naming cannot be: it would be one path. */
enum status scan_add_file(struct scan_writer *writer, const struct key *key,
                          const struct scan_file *file)
{
    unsigned char entry[ENTRY_MAX];
    memcpy(entry, key->bytes, key->len);
    unsigned char *at = entry + key->len;
    at[0] = 0;
    at[1] = 'f';
    put_number(at + 2, file->generation, 8);
    put_number(at + 10, file->place, 4);
    at[14] = (unsigned char)file->naming;

    unsigned char value[VALUE_FILE] = {0};
    value[0] =
        (unsigned char)((file->unlinked ? FLAG_UNLINKED : 0) |
                        (file->has_expected ? FLAG_EXPECTED : 0) | (file->md5[0] ? FLAG_MD5 : 0));
    put_number(value + 1, file->size, 8);
    put_number(value + 9, file->created, 8);
    put_number(value + 17, file->expected, 8);
    if (file->md5[0])
        put_md5(value + 25, file->md5);
    ldb_batch_put(writer->batch, entry, key->len + TAIL_FILE, value, sizeof value);
    return added(writer);
}

/* An entry that says nothing more. */
static enum status add_bare(struct scan_writer *writer, char kind, const struct key *key,
                            uint64_t generation, uint32_t place)
{
    unsigned char entry[ENTRY_MAX];
    memcpy(entry, key->bytes, key->len);
    unsigned char *at = entry + key->len;
    at[0] = 0;
    at[1] = (unsigned char)kind;
    put_number(at + 2, generation, 8);
    put_number(at + 10, place, 4);
    ldb_batch_put(writer->batch, entry, key->len + TAIL_BARE, "", 0);
    return added(writer);
}

enum status scan_add_tombstone(struct scan_writer *writer, const struct key *key,
                               uint64_t generation, uint32_t place)
{
    return add_bare(writer, 't', key, generation, place);
}

enum status scan_add_quarantined(struct scan_writer *writer, const struct key *key,
                                 uint64_t generation, uint32_t place)
{
    return add_bare(writer, 'q', key, generation, place);
}

enum status scan_add_suspect(struct scan_writer *writer, const struct key *key)
{
    unsigned char entry[sizeof suspects + KEY_MAX];
    memcpy(entry, suspects, sizeof suspects);
    memcpy(entry + sizeof suspects, key->bytes, key->len);
    ldb_batch_put(writer->batch, entry, sizeof suspects + key->len, "", 0);
    return added(writer);
}

/* --- reading --- */

struct scan_reader *scan_reader_new(struct scan *scan)
{
    struct scan_reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return NULL;
    reader->iter = ldb_iter_new(scan->db);
    if (!reader->iter) {
        free(reader);
        return NULL;
    }
    return reader;
}

void scan_reader_free(struct scan_reader *reader)
{
    if (!reader)
        return;
    ldb_iter_free(reader->iter);
    free(reader);
}

/* Anything that this program did not write is damage. */
static enum status decode_file(const unsigned char *tail, const char *value, size_t value_len,
                               struct scan_file *file)
{
    const unsigned char *from = (const unsigned char *)value;
    if (value_len != VALUE_FILE)
        return ST_CORRUPT;
    memset(file, 0, sizeof *file);
    file->generation = take_number(tail + 2, 8);
    file->place = (uint32_t)take_number(tail + 10, 4);
    file->naming = tail[14] == NAMING_MKV ? NAMING_MKV : NAMING_LARDER;
    file->unlinked = (from[0] & FLAG_UNLINKED) != 0;
    file->has_expected = (from[0] & FLAG_EXPECTED) != 0;
    file->size = take_number(from + 1, 8);
    file->created = take_number(from + 9, 8);
    file->expected = take_number(from + 17, 8);
    if (from[0] & FLAG_MD5)
        md5_hex(from + 25, file->md5);
    return ST_OK;
}

/* Adds the entry under the iterator to the group, whose key it has. */
static enum status take_entry(struct scan_reader *reader, const unsigned char *tail,
                              size_t tail_len, struct scan_group *group)
{
    size_t value_len;
    const char *value = ldb_iter_value(reader->iter, &value_len);
    struct scan_file file;
    if ((tail[1] == 't' || tail[1] == 'q') && tail_len == TAIL_BARE) {
        uint64_t generation = take_number(tail + 2, 8);
        uint32_t place = (uint32_t)take_number(tail + 10, 4);
        if (tail[1] == 't')
            return scan_group_add_tombstone(group, generation, place);
        scan_group_add_quarantined(group, generation, place);
        return ST_OK;
    }
    if (tail[1] != 'f' || tail_len != TAIL_FILE || decode_file(tail, value, value_len, &file))
        return ST_CORRUPT;
    return scan_group_add_file(group, &file);
}

/* The length of the entry's KEY, 0 where it is no entry of a key. */
static size_t entry_key(const char *entry, size_t len)
{
    const char *nul = memchr(entry, 0, len);
    return nul && (size_t)(nul - entry) + 2 <= len ? (size_t)(nul - entry) : 0;
}

/* Takes all entries from the iterator's on that are of group->key, and leaves it at the first that
 * is not: there the next call goes on. */
static enum status take_group(struct scan_reader *reader, struct scan_group *group)
{
    for (; ldb_iter_valid(reader->iter); ldb_iter_next(reader->iter)) {
        size_t len;
        const char *entry = ldb_iter_key(reader->iter, &len);
        size_t key_len = entry_key(entry, len);
        if (key_len != group->key.len || memcmp(entry, group->key.bytes, key_len) != 0)
            return ST_OK;
        enum status st =
            take_entry(reader, (const unsigned char *)entry + key_len, len - key_len, group);
        if (st)
            return st;
    }
    return ldb_iter_status(reader->iter);
}

enum status scan_next(struct scan_reader *reader, struct scan_group *group)
{
    scan_group_clear(group);
    if (!reader->begun)
        ldb_iter_seek(reader->iter, "/", 1);
    reader->begun = true;
    if (!ldb_iter_valid(reader->iter)) {
        enum status st = ldb_iter_status(reader->iter);
        return st ? st : ST_NOT_FOUND;
    }
    size_t len;
    const char *entry = ldb_iter_key(reader->iter, &len);
    enum status st = key_from_bytes(&group->key, entry, entry_key(entry, len));
    return st ? ST_CORRUPT : take_group(reader, group);
}

/* Leaves the iterator behind the key; scan_next() on the same reader would go on there. */
enum status scan_lookup(struct scan_reader *reader, const struct key *key, struct scan_group *group)
{
    scan_group_clear(group);
    group->key = *key;
    /* The NUL behind the bytes of a key is the one that ends KEY in an entry. */
    ldb_iter_seek(reader->iter, key->bytes, key->len + 1);
    return take_group(reader, group);
}

/* The first entry that is no suspect is that of a key: the end. */
enum status scan_next_suspect(struct scan_reader *reader, struct key *key)
{
    if (!reader->begun)
        ldb_iter_seek(reader->iter, suspects, sizeof suspects);
    else
        ldb_iter_next(reader->iter);
    reader->begun = true;
    if (!ldb_iter_valid(reader->iter)) {
        enum status st = ldb_iter_status(reader->iter);
        return st ? st : ST_NOT_FOUND;
    }
    size_t len;
    const char *entry = ldb_iter_key(reader->iter, &len);
    if (len < sizeof suspects || memcmp(entry, suspects, sizeof suspects) != 0)
        return ST_NOT_FOUND;
    return key_from_bytes(key, entry + sizeof suspects, len - sizeof suspects) ? ST_CORRUPT : ST_OK;
}
