/*
 * A scan: everything that a walk found on the volumes, in a scratch LevelDB, so that afterwards all
 * that belongs to one key can be read together, in the order of keys. Never synced: it is thrown
 * away at the end, and begun anew after an interruption. Its format (numbers big-endian):
 *
 *   file       KEY 00 'f' GENERATION(8) PLACE(4) NAMING(1) -> FLAGS(1) SIZE(8) CREATED(8)
 *                                                             EXPECTED(8) MD5(16)
 *   quarantine KEY 00 'q' GENERATION(8) PLACE(4)           -> (empty)
 *   tombstone  KEY 00 't' GENERATION(8) PLACE(4)           -> (empty)
 *   suspect    00 's' KEY                                  -> (empty)
 *
 * Keys begin with '/' and have no NUL, so the entries of a key stand together, keys in their own
 * order, and suspects before all of them.
 */
#ifndef LARDER_TOOLS_SCAN_H
#define LARDER_TOOLS_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/key.h"
#include "common/md5.h"
#include "common/name.h"
#include "common/status.h"

struct scan;
struct scan_writer;
struct scan_reader;

/* A value's file, as its volume lists it. */
struct scan_file {
    uint64_t generation;
    uint64_t size;
    uint64_t expected; /* what its attribute says of its size; valid where has_expected */
    uint64_t created;  /* unix milliseconds; 0: not known */
    uint32_t place;    /* its number in `struct places` */
    enum naming naming;
    bool has_expected;
    bool unlinked;
    char md5[MD5_HEX + 1]; /* what its attribute says; "": none */
};

struct scan_tombstone {
    uint64_t generation;
    uint32_t place;
};

/* All that was found of one key. Zero it to make an empty one. */
struct scan_group {
    struct key key;
    struct scan_file *files; /* by generation, then place */
    size_t file_count, file_room;
    struct scan_tombstone *tombstones;
    size_t tombstone_count, tombstone_room;
    /* Of values that volumes have laid aside as damaged: how many, and the newest's. They count for
     * nothing but that their key must not be dropped silently. */
    size_t quarantined;
    uint64_t quarantined_generation; /* valid where there are some */
    uint32_t quarantined_place;
};

void scan_group_clear(struct scan_group *group);
void scan_group_free(struct scan_group *group);
enum status scan_group_add_file(struct scan_group *group, const struct scan_file *file) MUST_CHECK;
enum status scan_group_add_tombstone(struct scan_group *group, uint64_t generation,
                                     uint32_t place) MUST_CHECK;

/* One by one, in any order. */
void scan_group_add_quarantined(struct scan_group *group, uint64_t generation, uint32_t place);

/* Makes an empty scan in the directory `path`; what an interrupted run left there is removed first.
 * Where it fails, it has said why (ST_LOCKED: another run is at work on it). */
enum status scan_open(struct scan **made, const char *path) MUST_CHECK;

/* Closes it and removes its directory. */
void scan_discard(struct scan *scan);

/* One writer a thread; it keeps what it is given until it has a batch of it. */
struct scan_writer *scan_writer_new(struct scan *scan) MUST_CHECK;
/* Drops what was not flushed. */
void scan_writer_free(struct scan_writer *writer);
enum status scan_add_file(struct scan_writer *writer, const struct key *key,
                          const struct scan_file *file) MUST_CHECK;
enum status scan_add_tombstone(struct scan_writer *writer, const struct key *key,
                               uint64_t generation, uint32_t place) MUST_CHECK;
enum status scan_add_quarantined(struct scan_writer *writer, const struct key *key,
                                 uint64_t generation, uint32_t place) MUST_CHECK;
enum status scan_add_suspect(struct scan_writer *writer, const struct key *key) MUST_CHECK;
enum status scan_flush(struct scan_writer *writer) MUST_CHECK;

/* Reads what stood in the scan when the reader was made. */
struct scan_reader *scan_reader_new(struct scan *scan) MUST_CHECK;
void scan_reader_free(struct scan_reader *reader);

/* The next key and all that was found of it. ST_NOT_FOUND at the end. */
enum status scan_next(struct scan_reader *reader, struct scan_group *group) MUST_CHECK;

/* What was found of just this key; maybe nothing, which is no error. */
enum status scan_lookup(struct scan_reader *reader, const struct key *key,
                        struct scan_group *group) MUST_CHECK;

/* The next suspect. ST_NOT_FOUND at the end. Do not mix with scan_next() on one reader. */
enum status scan_next_suspect(struct scan_reader *reader, struct key *key) MUST_CHECK;

#endif
