/* A checkpoint that comes over a connection, which breaks off. */
#include "tests/unit/checkpoint_fixture.h"

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
    const TTest *const tests[] = {it_is_fetched,
                                  breaks_are_gone_over,
                                  what_is_gone_is_begun_anew,
                                  who_is_busy_is_asked_again,
                                  the_next_master_is_asked,
                                  nobody_answers,
                                  a_server_of_another_kind,
                                  damage_on_the_way_ends_it,
                                  NULL};
    Suite *suite = suite_create("checkpoint_fetch");
    TCase *tcase = suite_case(suite, "checkpoint_fetch", tests);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, it_can_be_stopped, 0, 2);
    tcase_add_loop_test(tcase, patience_ends, 0, 3);
    return suite_run(suite);
}
