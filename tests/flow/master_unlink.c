/* UNLINK, over fakes. */
#include "master/flows.h"
#include "tests/flow/fake_ask.h"
#include "tests/flow/fake_http.h"
#include "tests/flow/fake_index.h"
#include "tests/flow/fake_keylock.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_volumes.h"

#define VALUE  "HASH00000000000000000000000000000001v1:1,v2:1,v3:1"
#define HIDDEN "DELETED" VALUE

static void setup(void)
{
    master_is_new();
    volumes_are(6);
    index_holds(VALUE, "");
    memset(&questions, 0, sizeof questions);
    memset(&fake_lock, 0, sizeof fake_lock);
}

static void teardown(void)
{
    ck_assert(!questions.pending);
    ck_assert_ptr_null(fake_index.pending);
    ck_assert(!fake_lock.held);
    client_free();
}

static void start(void)
{
    unlink_start(&fake_worker, client_asks(), &fake_key);
}

START_TEST(hides_a_key)
{
    start();
    ck_trace("lock commit ");
    ck_assert_str_eq(fake_index.event, "unlink:0");
    ck_index(VALUE, "");
    index_commits();
    ck_index(HIDDEN, "");
    ck_trace("ask:UNLINK(v1:1@0mkv,v2:1@0mkv,v3:1@0mkv) ");
    ck_assert_uint_eq(client.answers, 0);
    volumes_answer("204 404 -"); /* one note suffices */
    ck_trace("unlock reply:204 ");
    ck_index(HIDDEN, "");
}
END_TEST

START_TEST(keeps_what_is_to_do)
{
    index_holds("L1 live 7 larder - v1:1,v2:1", "W1;due 9;few 2;garbage 6 larder v3:1;");
    start();
    index_commits();
    ck_trace("lock commit ask:UNLINK(v1:1@7,v2:1@7) ");
    volumes_all_answer("204");
    ck_index("L1 unlinked 7 larder - v1:1,v2:1", "W1;few 2;due 9;garbage 6 larder v3:1;");
}
END_TEST

START_TEST(only_volumes_that_can_note_it_are_asked)
{
    fake_volumes[0].state = VOLUME_DOWN;
    fake_volumes[1].kind = VOLUME_PLAIN;
    fake_volumes[2].state = VOLUME_FULL;
    start();
    index_commits();
    ck_trace("lock commit ask:UNLINK(v3:1@0mkv) ");
    volumes_answer("-");
    ck_trace("unlock reply:204 "); /* it is hidden, noted or not */
}
END_TEST

START_TEST(refuses_what_is_not_there)
{
    static const char *const values[] = {"", "", HIDDEN, "L1 garbled"};
    static const char *const works[] = {"", "W1;garbage 0 larder v1:1;", "", ""};
    index_holds(values[_i], works[_i]);
    start();
    ck_trace(_i < 3 ? "lock unlock reply:404 " : "lock unlock reply:500 ");
    ck_index(values[_i], works[_i]);
}
END_TEST

START_TEST(refuses_a_key_that_another_writes)
{
    fake_lock.taken = true;
    start();
    ck_trace("reply:409 ");
}
END_TEST

START_TEST(it_cannot_be_saved)
{
    fake_index.fail_at = 1;
    fake_index.fail_with = _i ? ST_IO : ST_NO_SPACE;
    start();
    index_commits();
    ck_trace(_i ? "lock commit unlock reply:500 " : "lock commit unlock reply:507 ");
    ck_index(VALUE, "");
}
END_TEST

START_TEST(volumes_cannot_be_asked)
{
    questions.fail_at = 1;
    start();
    index_commits();
    ck_trace("lock commit unlock reply:500 ");
    ck_index(HIDDEN, "");
}
END_TEST

static void play_without_memory(unsigned k)
{
    setup();
    memory_arm(k);
    start();
    if (fake_index.pending)
        index_commits();
    if (questions.pending)
        volumes_all_answer("204");
    memory.left = 0;
    ck_assert_uint_eq(client.answers, 1);
    ck_assert_uint_eq(count_words(trace, "lock"), count_words(trace, "unlock"));
    ck_assert(client.status == 500 || strcmp(fake_index.value, HIDDEN) == 0);
}

START_TEST(memory_may_run_out_anywhere)
{
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{hides_a_key, 1},
                                   {keeps_what_is_to_do, 1},
                                   {only_volumes_that_can_note_it_are_asked, 1},
                                   {refuses_what_is_not_there, 4},
                                   {refuses_a_key_that_another_writes, 1},
                                   {it_cannot_be_saved, 2},
                                   {volumes_cannot_be_asked, 1},
                                   {memory_may_run_out_anywhere, 1},
                                   {NULL, 0}};
    return play_all("master_unlink", tests, setup, teardown);
}
