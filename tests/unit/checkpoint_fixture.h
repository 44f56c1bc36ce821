/* A checkpoint as a stream, and the index that is made of it: for the tests of loading and
 * fetching. */
#ifndef LARDER_TESTS_UNIT_CHECKPOINT_FIXTURE_H
#define LARDER_TESTS_UNIT_CHECKPOINT_FIXTURE_H

#include "common/checkpoint_load.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/checkpoint_fetch.h"
#include "common/http_client.h"
#include "common/http_server.h"
#include "common/key.h"
#include "common/ldb.h"
#include "common/log.h"
#include "common/loop.h"
#include "tests/unit/suite.h"

enum { BLOCKS = 5, PER_BLOCK = 50 };

static char base[64];
static char dir[80];
static struct buf why;

/* --- a stream, and where its blocks end --- */

static struct buf stream;
static size_t ends[BLOCKS + 4];
static size_t end_count;

static inline enum status note_block(void *arg, const char *bytes, size_t len)
{
    (void)arg;
    (void)bytes;
    ends[end_count] = (end_count ? ends[end_count - 1] : 0) + len;
    end_count++;
    return ST_OK;
}

static inline enum status no_entry(void *arg, const char *key, size_t key_len, const char *value,
                                   size_t value_len)
{
    (void)arg;
    (void)key;
    (void)key_len;
    (void)value;
    (void)value_len;
    return ST_OK;
}

static inline void add_own(struct buf *entries)
{
    checkpoint_add(entries, "!mborn", 6, "1000", 4);
    checkpoint_add(entries, "!mid", 4, "0123456789abcdef0123456789abcdef", 32);
    checkpoint_add(entries, "!msequence", 10, "77", 2);
    checkpoint_add(entries, "!vhost:1", 8, "{}", 2);
}

static inline void make_stream(char mark)
{
    static const struct checkpoint_sink sink = {NULL, no_entry, note_block};
    const struct checkpoint_head head = {"0123456789abcdef0123456789abcdef",
                                         "fedcba9876543210fedcba9876543210", 77, 1700000000000};
    struct checkpoint_point point;
    struct buf entries = BUF_INIT;
    buf_clear(&stream);
    ck_assert_int_eq(checkpoint_begin(&stream, &head, &point), ST_OK);
    for (int block = 0; block < BLOCKS; block++) {
        uint64_t before = point.entries;
        buf_clear(&entries);
        if (block == 0)
            add_own(&entries);
        for (int i = 0; i < PER_BLOCK; i++) {
            char key[32];
            int len = snprintf(key, sizeof key, "/key/%c/%d/%03d", mark, block, i);
            checkpoint_add(&entries, key, (size_t)len, "host:1,host:2", 13);
        }
        ck_assert_int_eq(checkpoint_block(&stream, &entries, PER_BLOCK + (block ? 0 : 4), &point),
                         ST_OK);
        ck_assert_uint_gt(point.entries, before);
    }
    ck_assert_int_eq(checkpoint_end(&stream, &point), ST_OK);
    buf_free(&entries);
    end_count = 0;
    struct checkpoint_reader *reader = checkpoint_reader_new(&sink, NULL);
    ck_assert_int_eq(checkpoint_reader_take(reader, stream.data, stream.len), ST_OK);
    checkpoint_reader_free(reader);
}

/* --- the fixture --- */

static inline void setup(void)
{
    log_set_level((enum log_level)(LOG_ERROR + 1));
    (void)signal(SIGPIPE, SIG_IGN);
    strcpy(base, "/tmp/larder-load.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(base));
    (void)snprintf(dir, sizeof dir, "%s/index", base);
    make_stream('a');
}

static inline void teardown(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", base);
    ck_assert_int_eq(system(command), 0);
    buf_free(&stream);
    buf_free(&why);
}

static inline const char *beside(const char *suffix)
{
    static char text[4][120];
    static int next;
    char *to = text[next++ % 4];
    (void)snprintf(to, sizeof text[0], "%s%s", dir, suffix);
    return to;
}

static inline bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* A LevelDB with one key, for an index that was there before. */
static inline void make_index(const char *path, const char *key)
{
    const struct ldb_options options = {.create = true};
    struct ldb *db;
    struct ldb_batch *batch = ldb_batch_new();
    ck_assert_int_eq(ldb_open(&db, path, &options, NULL), ST_OK);
    ldb_batch_put(batch, key, strlen(key), "v", 1);
    ck_assert_int_eq(ldb_write(db, batch, true, NULL), ST_OK);
    ldb_batch_free(batch);
    ldb_close(db);
}

/* The value of a key in the index at `path`, "" without it. */
static inline const char *value_in(const char *path, const char *key)
{
    static struct buf value;
    const struct ldb_options options = {0};
    struct ldb *db;
    buf_clear(&value);
    ck_assert_int_eq(ldb_open(&db, path, &options, NULL), ST_OK);
    enum status st = ldb_get(db, key, strlen(key), &value);
    ck_assert(st == ST_OK || st == ST_NOT_FOUND);
    ldb_close(db);
    return buf_text(&value);
}

static inline struct checkpoint_load *load_all(enum checkpoint_load_kind kind)
{
    struct checkpoint_load *load;
    ck_assert_int_eq(checkpoint_load_begin(&load, dir, kind, &why), ST_OK);
    struct checkpoint_reader *reader = checkpoint_reader_new(&checkpoint_load_sink, load);
    ck_assert_int_eq(checkpoint_reader_take(reader, stream.data, stream.len), ST_OK);
    ck_assert(checkpoint_reader_whole(reader));
    checkpoint_reader_free(reader);
    return load;
}

static inline void load_and_swap(enum checkpoint_load_kind kind)
{
    struct checkpoint_load *load = load_all(kind);
    ck_assert_int_eq(checkpoint_load_finish(load, &why), ST_OK);
    checkpoint_load_free(load);
    ck_assert(is_there(beside(".checkpoint-new")));
    ck_assert_int_eq(checkpoint_load_swap(dir, &why), ST_OK);
    ck_assert(!is_there(beside(".checkpoint-new")) && !is_there(beside(".checkpoint-old")));
    ck_assert_str_eq(buf_text(&why), "");
}

/* --- loading --- */

#endif
