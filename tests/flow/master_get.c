/* GET, over fakes: where a reader is sent, and what he is told where he cannot be sent anywhere. */
#include "master/flag.h"
#include "master/flows.h"
#include "tests/flow/fake_http.h"
#include "tests/flow/fake_index.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_volumes.h"

#define VALUE  "HASH00000000000000000000000000000001v1:1,v2:1,v3:1"
#define HIDDEN "DELETED" VALUE

static unsigned flags; /* times that the key was called suspect */

bool flag_start(struct worker *worker UNUSED, const struct key *key UNUSED, enum flag_reason reason,
                void (*flagged)(void *arg, enum status st), void *arg UNUSED)
{
    ck_assert_int_eq(reason, FLAG_SUSPECT);
    ck_assert_ptr_null(flagged);
    flags++;
    return true;
}

static void setup(void)
{
    master_is_new();
    volumes_are(6);
    index_holds(VALUE, "");
    flags = 0;
    client.path = "/k";
    client.query = NULL;
}

static void teardown(void)
{
    client_free();
}

static void get(void)
{
    trace[0] = 0;
    get_start(&fake_worker, client_asks(), &fake_key);
    ck_assert_uint_eq(client.answers, 1);
}

/* The volume that the answer sends to: '1' …; 0 where it sends nowhere. */
static char sent_to(void)
{
    const char *at = strstr(client.fields, "Location: http://v");
    return at ? at[strlen("Location: http://v")] : 0;
}

START_TEST(sends_readers_to_all_copies)
{
    bool seen[FAKE_VOLUMES + 1] = {false};
    for (int i = 0; i < 200; i++) {
        get();
        ck_trace("reply:302 ");
        ck_assert(sent_to() >= '1' && sent_to() <= '3');
        seen[sent_to() - '0'] = true;
    }
    ck_assert(seen[1] && seen[2] && seen[3]);
    ck_assert(strstr(client.fields, ":1/54/a9/L2s=\n") != NULL);
    ck_assert(answer_has("Content-Md5: 00000000000000000000000000000001"));
    ck_assert(answer_has("Key-Volumes: v1:1,v2:1,v3:1"));
    ck_assert(answer_has("Key-Balance: balanced"));
}
END_TEST

START_TEST(what_was_read_is_kept)
{
    get();
    ck_assert_uint_eq(fake_index.kept, 1);
    get();
    ck_assert_uint_eq(fake_index.kept, 2); /* it was read again */
    fake_index.knows = true;
    get();
    ck_assert_uint_eq(fake_index.kept, 3); /* with a stamp that it had not */
    get();
    ck_assert_uint_eq(fake_index.kept, 3);
    index_holds("", "");
    get();
    ck_assert_uint_eq(fake_index.kept, 0); /* what is not there is not */
}
END_TEST

START_TEST(says_where_a_later_version_is)
{
    index_holds("L1 live 17 larder - v2:1,v1:1,v3:1", "W1;garbage 0 larder v1:1;");
    get();
    ck_assert(strstr(client.fields, ":1/54/a9/L2s=.17\n") != NULL);
    ck_assert(answer_has("Key-Balance: unbalanced")); /* the order is another */
    ck_assert_ptr_null(strstr(client.fields, "Content-Md5"));
}
END_TEST

START_TEST(passes_over_volumes_that_are_down)
{
    fake_volumes[0].state = VOLUME_DOWN;
    fake_volumes[2].state = VOLUME_FOREIGN;
    for (int i = 0; i < 20; i++) {
        get();
        ck_assert_int_eq(sent_to(), '2');
    }
    fake_volumes[1].state = VOLUME_READ_ONLY; /* is enough to read */
    get();
    ck_assert_int_eq(sent_to(), '2');
    fake_volumes[1].state = VOLUME_DOWN;
    get();
    ck_trace("reply:503 "); /* it is there: never a 404 */
}
END_TEST

START_TEST(a_volume_that_may_stand_still_comes_last)
{
    fake_volumes[0].hesitates = true;
    fake_volumes[2].hesitates = true;
    for (int i = 0; i < 20; i++) {
        get();
        ck_assert_int_eq(sent_to(), '2');
    }
    fake_volumes[1].state = VOLUME_DOWN;
    get();
    ck_assert_int_ne(sent_to(), '2'); /* better than nothing */
}
END_TEST

START_TEST(avoids_what_the_reader_has_seen_fail)
{
    client.query = "avoid=v1:1,v3:1";
    for (int i = 0; i < 20; i++) {
        get();
        ck_assert_int_eq(sent_to(), '2');
    }
    ck_assert(strstr(client.fields, "?avoid=v1%3A1%2Cv3%3A1\n") != NULL);
    client.query = "avoid=v1:1,v2:1,v3:1";
    get();
    ck_trace("reply:503 ");
    ck_assert_uint_ne(flags, 0); /* each time: a copy seems to be missing */
    flags = 0;
    client.query = "avoid=v1:11,xv2:1"; /* no prefixes, no suffixes */
    get();
    ck_trace("reply:302 ");
}
END_TEST

/* Readers are sent where a volume is reached, and come back from there. */
START_TEST(one_that_has_moved)
{
    fake_volumes[1].moved = true;
    client.query = "avoid=v1:1,v3:1";
    get();
    ck_assert(answer_has("Location: http://a2:1/54/a9/L2s=?avoid=v1%3A1%2Cv3%3A1"));
    ck_assert(answer_has("Key-Volumes: v1:1,a2:1,v3:1"));
    ck_assert(answer_has("Key-Balance: balanced"));
    client.query = "avoid=v1:1,a2:1,v3:1";
    get();
    ck_assert_int_eq(client.status, 503);
    flags = 0;
    client.query = "avoid=v2:1"; /* who is there now is another */
    get();
    ck_assert_int_eq(client.status, 302);
    ck_assert_uint_eq(flags, 0);
}
END_TEST

/* A copy that does not count there is not wanted there. */
START_TEST(balanced_is_where_copies_count)
{
    fake_volumes[1].discounted = true;
    get();
    ck_assert(answer_has("Key-Balance: unbalanced"));
    index_holds("HASH00000000000000000000000000000001v1:1,v3:1,v4:1", "");
    get();
    ck_assert(answer_has("Key-Balance: balanced"));
}
END_TEST

START_TEST(what_is_not_visible_is_not_found)
{
    static const char *const values[] = {"", "", HIDDEN, ""};
    static const char *const works[] = {"", "W1;garbage 0 larder v1:1;", "", "W1;tombstone 1;"};
    index_holds(values[_i], works[_i]);
    get();
    ck_trace("reply:404 ");
    fake_config.fallback = (char[]){"other:3000"};
    get();
    ck_trace("reply:302 ");
    ck_assert(answer_has("Location: http://other:3000/k"));
}
END_TEST

START_TEST(damage_is_no_absence)
{
    index_holds("L1 garbled", "");
    get();
    ck_trace("reply:500 ");
    fake_index.read_fails = ST_IO;
    get();
    ck_trace("reply:500 ");
    fake_index.read_fails = ST_UNAVAILABLE;
    get();
    ck_trace("reply:503 ");
}
END_TEST

static void play_without_memory(unsigned k)
{
    setup();
    client.query = "avoid=v1:1";
    memory_arm(k);
    get();
    memory.left = 0;
    ck_assert(client.status == 500 || client.status == 302);
    if (client.status == 302)
        ck_assert(strstr(client.fields, "/54/a9/L2s=?avoid=v1%3A1\n") != NULL);
}

static void play_fallback_without_memory(unsigned k)
{
    setup();
    index_holds("", "");
    fake_config.fallback = (char[]){"other:3000"};
    memory_arm(k);
    get();
    memory.left = 0;
    ck_assert(client.status == 500 || answer_has("Location: http://other:3000/k"));
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
    memory_sweep(play_fallback_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{sends_readers_to_all_copies, 1},
                                   {what_was_read_is_kept, 1},
                                   {says_where_a_later_version_is, 1},
                                   {passes_over_volumes_that_are_down, 1},
                                   {a_volume_that_may_stand_still_comes_last, 1},
                                   {avoids_what_the_reader_has_seen_fail, 1},
                                   {one_that_has_moved, 1},
                                   {balanced_is_where_copies_count, 1},
                                   {what_is_not_visible_is_not_found, 4},
                                   {damage_is_no_absence, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_get", tests, setup, teardown);
}
