/* From a checkpoint to an index: fetched over a connection that breaks off, loaded, verified, put
 * in its place; and what a crash leaves at each step of that. */
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

static enum status note_block(void *arg, const char *bytes, size_t len)
{
    (void)arg;
    (void)bytes;
    ends[end_count] = (end_count ? ends[end_count - 1] : 0) + len;
    end_count++;
    return ST_OK;
}

static enum status no_entry(void *arg, const char *key, size_t key_len, const char *value,
                            size_t value_len)
{
    (void)arg;
    (void)key;
    (void)key_len;
    (void)value;
    (void)value_len;
    return ST_OK;
}

static void add_own(struct buf *entries)
{
    checkpoint_add(entries, "!mborn", 6, "1000", 4);
    checkpoint_add(entries, "!mid", 4, "0123456789abcdef0123456789abcdef", 32);
    checkpoint_add(entries, "!msequence", 10, "77", 2);
    checkpoint_add(entries, "!vhost:1", 8, "{}", 2);
}

static void make_stream(char mark)
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

static void setup(void)
{
    log_set_level((enum log_level)(LOG_ERROR + 1));
    (void)signal(SIGPIPE, SIG_IGN);
    strcpy(base, "/tmp/larder-load.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(base));
    (void)snprintf(dir, sizeof dir, "%s/index", base);
    make_stream('a');
}

static void teardown(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", base);
    ck_assert_int_eq(system(command), 0);
    buf_free(&stream);
    buf_free(&why);
}

static const char *beside(const char *suffix)
{
    static char text[4][120];
    static int next;
    char *to = text[next++ % 4];
    (void)snprintf(to, sizeof text[0], "%s%s", dir, suffix);
    return to;
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* A LevelDB with one key, for an index that was there before. */
static void make_index(const char *path, const char *key)
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
static const char *value_in(const char *path, const char *key)
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

static struct checkpoint_load *load_all(enum checkpoint_load_kind kind)
{
    struct checkpoint_load *load;
    ck_assert_int_eq(checkpoint_load_begin(&load, dir, kind, &why), ST_OK);
    struct checkpoint_reader *reader = checkpoint_reader_new(&checkpoint_load_sink, load);
    ck_assert_int_eq(checkpoint_reader_take(reader, stream.data, stream.len), ST_OK);
    ck_assert(checkpoint_reader_whole(reader));
    checkpoint_reader_free(reader);
    return load;
}

static void load_and_swap(enum checkpoint_load_kind kind)
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

START_TEST(a_copy_is_a_copy)
{
    load_and_swap(CHECKPOINT_LOAD_COPY);
    ck_assert_str_eq(value_in(dir, "/key/a/0/000"), "host:1,host:2");
    ck_assert_str_eq(value_in(dir, "/key/a/4/049"), "host:1,host:2");
    ck_assert_str_eq(value_in(dir, "!msequence"), "77");
    ck_assert_str_eq(value_in(dir, "!mborn"), "1000");
    ck_assert_str_eq(value_in(dir, "!vhost:1"), "{}");
}
END_TEST

START_TEST(a_restored_index_is_another)
{
    uint64_t now_us = loop_wall_ms() * 1000;
    load_and_swap(CHECKPOINT_LOAD_RESTORE);
    ck_assert_str_eq(value_in(dir, "/key/a/4/049"), "host:1,host:2");
    ck_assert_str_eq(value_in(dir, "!mid"), "");
    ck_assert_str_eq(value_in(dir, "!mborn"), "");
    ck_assert_str_eq(value_in(dir, "!mrestored"), "{\"made\":1700000000000,\"sequence\":77}");
    ck_assert_uint_ge(strtoull(value_in(dir, "!msequence"), NULL, 10), now_us);
    ck_assert_str_eq(value_in(dir, "!vhost:1"), "{}");
}
END_TEST

START_TEST(it_replaces_what_is_there)
{
    if (_i)
        ck_assert_int_eq(mkdir(dir, 0755), 0); /* empty */
    else
        make_index(dir, "/before");
    load_and_swap(CHECKPOINT_LOAD_COPY);
    ck_assert_str_eq(value_in(dir, "/before"), "");
    ck_assert_str_eq(value_in(dir, "/key/a/0/000"), "host:1,host:2");
}
END_TEST

START_TEST(a_slash_at_the_end_does_not_matter)
{
    (void)snprintf(dir, sizeof dir, "%s/index/", base);
    struct checkpoint_load *load = load_all(CHECKPOINT_LOAD_COPY);
    ck_assert_int_eq(checkpoint_load_finish(load, &why), ST_OK);
    checkpoint_load_free(load);
    ck_assert_int_eq(checkpoint_load_swap(dir, &why), ST_OK);
    dir[strlen(dir) - 1] = 0;
    ck_assert_str_eq(value_in(dir, "/key/a/0/000"), "host:1,host:2");
}
END_TEST

START_TEST(what_is_begun_anew_forgets_the_first)
{
    struct checkpoint_load *load = load_all(CHECKPOINT_LOAD_COPY);
    ck_assert_int_eq(checkpoint_load_anew(load), ST_OK);
    make_stream('b');
    struct checkpoint_reader *reader = checkpoint_reader_new(&checkpoint_load_sink, load);
    ck_assert_int_eq(checkpoint_reader_take(reader, stream.data, stream.len), ST_OK);
    checkpoint_reader_free(reader);
    ck_assert_int_eq(checkpoint_load_finish(load, &why), ST_OK);
    checkpoint_load_free(load);
    ck_assert_int_eq(checkpoint_load_swap(dir, &why), ST_OK);
    ck_assert_str_eq(value_in(dir, "/key/a/0/000"), "");
    ck_assert_str_eq(value_in(dir, "/key/b/0/000"), "host:1,host:2");
}
END_TEST

START_TEST(what_is_not_finished_is_removed)
{
    make_index(dir, "/before");
    checkpoint_load_free(load_all(CHECKPOINT_LOAD_COPY));
    ck_assert(!is_there(beside(".checkpoint-new")));
    ck_assert_str_eq(value_in(dir, "/before"), "v");
}
END_TEST

START_TEST(two_do_not_write_one)
{
    struct checkpoint_load *second;
    struct checkpoint_load *first = load_all(CHECKPOINT_LOAD_COPY);
    ck_assert_int_eq(checkpoint_load_begin(&second, dir, CHECKPOINT_LOAD_COPY, &why), ST_LOCKED);
    ck_assert_ptr_null(second);
    ck_assert_ptr_nonnull(strstr(buf_text(&why), "in use"));
    ck_assert_int_eq(checkpoint_load_clean(dir, NULL), ST_LOCKED); /* a master does not start */
    checkpoint_load_free(first);
}
END_TEST

START_TEST(a_disk_that_takes_no_more)
{
    struct rlimit limit;
    struct checkpoint_load *load;
    (void)signal(SIGXFSZ, SIG_IGN);
    make_index(dir, "/before");
    ck_assert_int_eq(checkpoint_load_begin(&load, dir, CHECKPOINT_LOAD_COPY, &why), ST_OK);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 4096;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct checkpoint_reader *reader = checkpoint_reader_new(&checkpoint_load_sink, load);
    enum status st = checkpoint_reader_take(reader, stream.data, stream.len);
    if (!st) /* all of it was in one batch */
        st = checkpoint_load_finish(load, &why);
    ck_assert_int_ne(st, ST_OK);
    (void)checkpoint_load_explain(load, st, &why);
    ck_assert_ptr_nonnull(strstr(buf_text(&why), "could not write"));
    checkpoint_reader_free(reader);
    checkpoint_load_free(load);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_str_eq(value_in(dir, "/before"), "v");
}
END_TEST

START_TEST(a_place_that_cannot_be_made)
{
    struct checkpoint_load *load;
    (void)snprintf(dir, sizeof dir, "%s/no/such", base);
    ck_assert_int_ne(checkpoint_load_begin(&load, dir, CHECKPOINT_LOAD_COPY, &why), ST_OK);
    ck_assert_ptr_nonnull(strstr(buf_text(&why), "could not make"));
    ck_assert_int_ne(checkpoint_load_swap(dir, &why), ST_OK);
    ck_assert_int_eq(checkpoint_load_clean(dir, NULL), ST_OK); /* there is nothing to clean */
}
END_TEST

/* --- crashes --- */

START_TEST(nothing_to_clean)
{
    ck_assert_int_eq(checkpoint_load_clean(dir, &why), ST_OK);
    make_index(dir, "/before");
    ck_assert_int_eq(checkpoint_load_clean(dir, &why), ST_OK);
    ck_assert_str_eq(value_in(dir, "/before"), "v");
}
END_TEST

/* While it loaded; after the exchange, before the old one was removed. */
START_TEST(a_leftover_beside_a_whole_index)
{
    make_index(dir, "/mine");
    make_index(beside(_i ? ".checkpoint-old" : ".checkpoint-new"), "/leftover");
    ck_assert_int_eq(checkpoint_load_clean(dir, &why), ST_OK);
    ck_assert(!is_there(beside(".checkpoint-new")) && !is_there(beside(".checkpoint-old")));
    ck_assert_str_eq(value_in(dir, "/mine"), "v");
}
END_TEST

/* Between the two renames of a file system that cannot exchange names. */
START_TEST(a_crash_between_two_renames)
{
    make_index(beside(".checkpoint-old"), "/mine");
    make_index(beside(".checkpoint-new"), "/new");
    ck_assert_int_eq(checkpoint_load_clean(dir, &why), ST_OK);
    ck_assert(!is_there(beside(".checkpoint-new")) && !is_there(beside(".checkpoint-old")));
    ck_assert_str_eq(value_in(dir, "/mine"), "v");
}
END_TEST

START_TEST(a_crash_of_the_first_load)
{
    make_index(beside(".checkpoint-new"), "/half");
    ck_assert_int_eq(checkpoint_load_clean(dir, &why), ST_OK);
    ck_assert(!is_there(dir) && !is_there(beside(".checkpoint-new")));
}
END_TEST

/* --- fetching: a server that does what its script says, an answer a letter --- */

static struct {
    struct loop *loop;
    struct http_server *server;
    pthread_t thread;
    char url[64];
    const char *script; /* '.': all; 'c': cut after some bytes; 'g': gone; 'b': busy; 'n': not
                           found; 'd': damaged; 's': silence */
    size_t step;        /* bytes until a cut */
    unsigned asked, resumed;
} master;

static void piece_sent(void *arg, bool alive)
{
    (void)alive;
    http_reply_end(arg, false);
}

static void last_sent(void *arg, bool alive)
{
    http_reply_end(arg, alive);
}

/* Behind the block whose chain the client has. */
static size_t resume_at(const char *query, size_t len)
{
    char chain[40];
    if (key_query(query, len, "id", chain, sizeof chain) < 0)
        return 0;
    master.resumed++;
    ck_assert_int_eq(key_query(query, len, "chain", chain, sizeof chain), 32);
    for (size_t i = 1; i < end_count; i++) {
        char hex[MD5_HEX + 1];
        md5_hex((unsigned char *)stream.data + ends[i] - MD5_SIZE, hex);
        if (strcmp(hex, chain) == 0)
            return ends[i];
    }
    ck_abort_msg("a chain that is in no block");
    return 0;
}

static void answer(struct http_request *req, void *arg)
{
    (void)arg;
    size_t len;
    const char *query = http_request_query(req, &len);
    char what = *master.script ? *master.script : '.';
    if (*master.script && master.script[1])
        master.script++;
    master.asked++;
    if (strchr("gbn", what)) {
        http_reply_status(req, what == 'g' ? ST_GONE : what == 'b' ? ST_BUSY : ST_NOT_FOUND, NULL);
        return;
    }
    size_t at = resume_at(query, len);
    size_t end = what == 'c' && at + master.step < stream.len ? at + master.step : stream.len;
    if (what == 'd')
        stream.data[at + 30] ^= 1;
    http_reply_start(req, 200);
    if (what != 's')
        http_reply_piece(req, stream.data + at, end - at, end < stream.len ? piece_sent : last_sent,
                         req);
}

static void *serve(void *arg)
{
    (void)arg;
    loop_run(master.loop);
    return NULL;
}

static void start_master(const char *script, size_t step)
{
    memset(&master, 0, sizeof master);
    master.script = script;
    master.step = step;
    master.loop = loop_new();
    const struct http_server_options options = {.loop = master.loop,
                                                .listen = "127.0.0.1",
                                                .exclusive = true,
                                                .handler = answer,
                                                .name = "test",
                                                .max_connections = 10};
    ck_assert(http_client_global_init());
    ck_assert_int_eq(http_server_start(&master.server, &options), ST_OK);
    (void)snprintf(master.url, sizeof master.url, "http://127.0.0.1:%d",
                   http_server_port(master.server));
    ck_assert_int_eq(pthread_create(&master.thread, NULL, serve, NULL), 0);
}

static void stop_master(void)
{
    loop_stop(master.loop);
    (void)pthread_join(master.thread, NULL);
    http_server_free(master.server);
    loop_free(master.loop);
}

static enum status fetch_index(const char *other)
{
    const char *const masters[] = {other ? other : master.url, other ? master.url : NULL, NULL};
    struct checkpoint_head head = {0};
    enum status st = checkpoint_load_fetch(masters, dir, NULL, NULL, &head, &why);
    if (!st) {
        ck_assert_uint_eq(head.sequence, 77);
        ck_assert_int_eq(checkpoint_load_swap(dir, &why), ST_OK);
        ck_assert_str_eq(value_in(dir, "/key/a/4/049"), "host:1,host:2");
        ck_assert_str_eq(buf_text(&why), "");
    }
    ck_assert(!is_there(beside(".checkpoint-new")));
    return st;
}

START_TEST(it_is_fetched)
{
    start_master(".", 0);
    ck_assert_int_eq(fetch_index(NULL), ST_OK);
    ck_assert_uint_eq(master.asked, 1);
    stop_master();
}
END_TEST

START_TEST(breaks_are_gone_over)
{
    start_master("cccccccccc.", (size_t)3000);
    ck_assert_int_eq(fetch_index(NULL), ST_OK);
    ck_assert_uint_ge(master.resumed, 3);
    stop_master();
}
END_TEST

START_TEST(what_is_gone_is_begun_anew)
{
    start_master("cg.", (size_t)7000);
    ck_assert_int_eq(fetch_index(NULL), ST_OK);
    ck_assert_uint_eq(master.resumed, 0); /* the refused one did not come so far */
    ck_assert_uint_eq(master.asked, 3);
    stop_master();
}
END_TEST

START_TEST(who_is_busy_is_asked_again)
{
    start_master("bb.", 0);
    ck_assert_int_eq(fetch_index(NULL), ST_OK);
    ck_assert_uint_eq(master.asked, 3);
    stop_master();
}
END_TEST

START_TEST(the_next_master_is_asked)
{
    start_master(".", 0);
    ck_assert_int_eq(fetch_index("http://127.0.0.1:1"), ST_OK);
    stop_master();
}
END_TEST

START_TEST(nobody_answers)
{
    static const char *const masters[] = {"http://127.0.0.1:1", "http://127.0.0.1:2", NULL};
    struct checkpoint_head head;
    ck_assert(http_client_global_init());
    ck_assert_int_eq(checkpoint_load_fetch(masters, dir, NULL, NULL, &head, &why), ST_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(buf_text(&why), "no master answers"));
}
END_TEST

START_TEST(a_server_of_another_kind)
{
    start_master("n", 0);
    ck_assert_int_eq(fetch_index(NULL), ST_PEER);
    ck_assert_ptr_nonnull(strstr(buf_text(&why), "answered 404"));
    stop_master();
}
END_TEST

START_TEST(damage_on_the_way_ends_it)
{
    start_master("d", 0);
    ck_assert_int_eq(fetch_index(NULL), ST_CORRUPT);
    ck_assert_ptr_nonnull(strstr(buf_text(&why), "damaged"));
    ck_assert(!is_there(dir));
    stop_master();
}
END_TEST

static atomic_uint stop_questions;

static bool stop_soon(void *arg)
{
    (void)arg;
    return ++stop_questions > 2;
}

START_TEST(it_can_be_stopped)
{
    const char *const masters[] = {master.url, NULL};
    struct checkpoint_head head;
    start_master(_i ? "s" : "b", 0);
    stop_questions = 0;
    ck_assert_int_eq(checkpoint_load_fetch(masters, dir, stop_soon, NULL, &head, &why), ST_CLOSED);
    ck_assert(!is_there(beside(".checkpoint-new")));
    stop_master();
}
END_TEST

START_TEST(patience_ends)
{
    static const struct checkpoint_sink sink = {NULL, no_entry, NULL};
    const char *const masters[] = {master.url, NULL};
    start_master(_i == 0 ? "s" : _i == 1 ? "b" : "c", (size_t)100);
    struct checkpoint_fetch fetch = {.masters = masters, .patience_ms = 700};
    fetch.reader = checkpoint_reader_new(&sink, NULL);
    enum status st = checkpoint_fetch(&fetch, &why);
    ck_assert_int_eq(st, _i == 0 ? ST_PEER_TIMEOUT : ST_PEER);
    ck_assert_str_ne(buf_text(&why), "");
    checkpoint_reader_free(fetch.reader);
    stop_master();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_copy_is_a_copy,
                                  a_restored_index_is_another,
                                  a_slash_at_the_end_does_not_matter,
                                  what_is_begun_anew_forgets_the_first,
                                  what_is_not_finished_is_removed,
                                  two_do_not_write_one,
                                  a_disk_that_takes_no_more,
                                  a_place_that_cannot_be_made,
                                  nothing_to_clean,
                                  a_crash_between_two_renames,
                                  a_crash_of_the_first_load,
                                  it_is_fetched,
                                  breaks_are_gone_over,
                                  what_is_gone_is_begun_anew,
                                  who_is_busy_is_asked_again,
                                  the_next_master_is_asked,
                                  nobody_answers,
                                  a_server_of_another_kind,
                                  damage_on_the_way_ends_it,
                                  NULL};
    Suite *suite = suite_create("checkpoint_load");
    TCase *tcase = suite_case(suite, "checkpoint_load", tests);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, it_replaces_what_is_there, 0, 2);
    tcase_add_loop_test(tcase, a_leftover_beside_a_whole_index, 0, 2);
    tcase_add_loop_test(tcase, it_can_be_stopped, 0, 2);
    tcase_add_loop_test(tcase, patience_ends, 0, 3);
    return suite_run(suite);
}
