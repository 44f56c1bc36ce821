/* Removing garbage and settling tombstones, with volumes that are away, refuse, or are others'. */
#include "common/record.h"
#include "master/bury.h"
#include "tests/flow/fake_ask.h"
#include "tests/flow/fake_index.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_volumes.h"

static struct record rec;
static unsigned buried;

static void setup(void)
{
    master_is_new();
    volumes_are(6);
    memset(&questions, 0, sizeof questions);
    index_holds("", "");
    record_init(&rec);
    buried = 0;
}

static void teardown(void)
{
    ck_assert(!questions.pending);
    ck_assert_ptr_null(fake_index.pending);
    record_free(&rec);
}

static void has_buried(void *arg)
{
    ck_assert_ptr_eq(arg, &rec);
    buried++;
}

/* Lines that end with ';', as they stand in the index. */
static void record_is(const char *work)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "%s", work);
    for (char *at = text; *at; at++)
        *at = *at == ';' ? '\n' : *at;
    record_free(&rec);
    ck_assert_int_eq(record_decode(&rec, NULL, 0, text, strlen(text)), ST_OK);
}

static void bury(bool careful)
{
    buried = 0;
    ck_assert_int_eq(bury_start(&fake_worker, "test", &fake_key, &rec, careful, has_buried, &rec),
                     ST_OK);
    ck_assert_uint_eq(buried, 0);
}

START_TEST(garbage_that_is_gone_leaves_the_list)
{
    record_is("W1;garbage 1 larder v1:1;garbage 2 mkv v1:1;garbage 1 larder v2:1;"
              "garbage 1 larder v3:1;garbage 1 larder v4:1;");
    bury(false);
    ck_trace("ask:DELETE(v1:1@1,v1:1@2mkv,v2:1@1,v3:1@1,v4:1@1) ");
    volumes_answer("204 404 500 - 200");
    ck_assert_uint_eq(buried, 1);
    ck_assert_uint_eq(rec.garbage.count, 2); /* refused, and silent */
    ck_assert_str_eq(rec.garbage.list[0].place, "v2:1");
    ck_assert_str_eq(rec.garbage.list[1].place, "v3:1");
}
END_TEST

/* Readers were sent to the others a moment ago. */
START_TEST(only_what_is_due)
{
    record_is("W1;garbage 1 larder v1:1;due 1699999999;garbage 2 larder v1:1;due 1700000000;"
              "garbage 3 larder v1:1;due 1700000001;garbage 4 larder v1:1;");
    bury(_i);
    ck_trace("ask:DELETE(v1:1@1,v1:1@2,v1:1@3) ");
    volumes_answer("204 204 204");
    ck_assert_uint_eq(rec.garbage.count, 1);
    ck_assert_uint_eq(rec.garbage.list[0].generation, 4);
}
END_TEST

/* A key that is written all the time must not keep all volumes, and its writers, for long. */
START_TEST(a_few_dozen_at_a_time)
{
    record_is("W1;garbage 1 larder v1:1;");
    for (unsigned i = 2; i <= 70; i++)
        ck_assert_int_eq(record_add_garbage(&rec, i, NAMING_LARDER, "v1:1"), ST_OK);
    bury(_i);
    ck_assert_uint_eq(questions.items, _i ? 64 : 70);
    char answers[70 * 4 + 1] = "";
    for (unsigned i = 0; i < questions.items; i++)
        memcpy(answers + (size_t)4 * i, i + 1 < questions.items ? "204 " : "204",
               i + 1 < questions.items ? 4 : 3);
    trace[0] = 0;
    volumes_answer(answers);
    ck_assert_uint_eq(rec.garbage.count, _i ? 6 : 0);
}
END_TEST

START_TEST(volumes_that_cannot_delete_are_not_asked)
{
    record_is("W1;garbage 1 larder v1:1;garbage 1 larder v2:1;garbage 1 larder v3:1;"
              "garbage 1 larder v4:1;");
    fake_volumes[0].state = VOLUME_DOWN;
    fake_volumes[1].state = VOLUME_READ_ONLY;
    fake_volumes[2].state = VOLUME_FULL; /* deleting makes room */
    fake_volumes[3].settled = false;
    bury(true);
    ck_trace("ask:DELETE(v3:1@1) ");
    volumes_answer("204");
    ck_assert_uint_eq(rec.garbage.count, 3);
    bury(false); /* a client's DELETE does not wait for what may still be under way */
    ck_trace("ask:DELETE(v4:1@1) ");
    volumes_answer("204");
    ck_assert_uint_eq(rec.garbage.count, 2);
}
END_TEST

/* An upload that was given up may still end there, just after the volume has woken up. */
START_TEST(what_was_not_there_may_come_yet)
{
    record_is("W1;tombstone 1;garbage 1 larder v1:1;garbage 1 larder v2:1;garbage 1 larder v3:1;");
    fake_volumes[0].settled = fake_volumes[1].settled = false;
    bury(false);
    volumes_answer("404 204 404");
    ck_assert_uint_eq(rec.garbage.count, 1);
    ck_assert_str_eq(rec.garbage.list[0].place, "v1:1");
    index_commits();
    volumes_all_answer("204");
    ck_assert_uint_eq(buried, 1);
    ck_assert(rec.has_tombstone);
}
END_TEST

START_TEST(a_tombstone_ends_with_the_last_copy)
{
    record_is("W1;tombstone 7;garbage 7 larder v1:1;");
    bury(false);
    ck_trace("ask:DELETE(v1:1@7) ");
    volumes_answer("404");
    ck_assert(!rec.has_tombstone);
    ck_assert_uint_eq(buried, 1);
}
END_TEST

START_TEST(a_tombstone_goes_to_volumes_while_copies_remain)
{
    record_is("W1;tombstone 7;garbage 7 larder v1:1;garbage 7 larder v2:1;");
    fake_volumes[1].state = VOLUME_DOWN;
    fake_volumes[2].kind = VOLUME_PLAIN;
    bury(false);
    volumes_answer("204");
    ck_assert_uint_eq(buried, 0);
    ck_trace("ask:DELETE(v1:1@7) commit ");
    index_commits(); /* before any of them has it: a crash must not make it forgotten */
    ck_index("", "W1;tombstone 7;garbage 7 larder v2:1;maybe v1:1;maybe v4:1;maybe v5:1;");
    ck_trace("ask:DELETE(v1:1@0[Larder-Tombstone: 7],"
             "v4:1@0[Larder-Tombstone: 7],v5:1@0[Larder-Tombstone: 7]) ");
    volumes_answer("204 - 404");
    ck_assert_uint_eq(buried, 1);
    ck_assert(rec.has_tombstone);
    ck_assert_uint_eq(rec.holder_count, 1); /* 404 is no promise to keep it */
    ck_assert_str_eq(rec.holders[0], "v1:1");
    ck_assert_uint_eq(rec.maybe_count, 2);
    bury(true); /* it is kept already: nothing is marked again */
    ck_trace("ask:DELETE() ");
    volumes_answer("");
    ck_assert_uint_eq(buried, 1);
}
END_TEST

START_TEST(a_tombstone_is_taken_off_volumes_in_the_end)
{
    record_is("W1;tombstone 7;garbage 7 larder v2:1;holder v1:1;holder v3:1;");
    fake_volumes[2].state = VOLUME_DOWN;
    bury(true);
    volumes_answer("204");
    ck_trace("ask:DELETE(v2:1@7) ask:DELETE(v1:1@0[Larder-Tombstone: drop]) ");
    volumes_answer("404"); /* gone is gone */
    ck_assert_uint_eq(buried, 1);
    ck_assert_uint_eq(rec.holder_count, 1);
    ck_assert(rec.has_tombstone); /* while one volume keeps it */
    fake_volumes[2].state = VOLUME_UP;
    bury(true);
    volumes_answer("");
    ck_trace("ask:DELETE() ask:DELETE(v3:1@0[Larder-Tombstone: drop]) ");
    volumes_answer("204");
    ck_assert(!rec.has_tombstone);
}
END_TEST

/* The janitor after a crash: nobody knows whether they were asked, so all are told to forget. */
START_TEST(a_tombstone_is_taken_off_volumes_that_may_have_it)
{
    record_is("W1;tombstone 7;garbage 7 larder v2:1;maybe v1:1;maybe v3:1;");
    fake_volumes[2].state = VOLUME_DOWN;
    bury(true);
    volumes_answer("204");
    ck_trace("ask:DELETE(v2:1@7) ask:DELETE(v1:1@0[Larder-Tombstone: drop]) ");
    volumes_answer("404");
    ck_assert_uint_eq(rec.maybe_count, 1);
    ck_assert(rec.has_tombstone);
    fake_volumes[2].state = VOLUME_UP;
    bury(true);
    volumes_answer("");
    ck_trace("ask:DELETE() ask:DELETE(v3:1@0[Larder-Tombstone: drop]) ");
    volumes_answer("204");
    ck_assert_uint_eq(rec.maybe_count, 0);
    ck_assert(!rec.has_tombstone);
}
END_TEST

/* Those that may have an older one are in the index already; with a new one nobody need be noted.
 */
START_TEST(a_tombstone_that_has_grown_is_marked_again)
{
    record_is("W1;tombstone 9;garbage 9 larder v2:1;maybe v1:1;maybe v3:1;maybe v4:1;maybe v6:1;");
    fake_volumes[1].state = VOLUME_DOWN;
    bury(true);
    volumes_answer("");
    ck_trace("ask:DELETE() ask:DELETE(v1:1@0[Larder-Tombstone: 9],"
             "v3:1@0[Larder-Tombstone: 9],v4:1@0[Larder-Tombstone: 9]) ");
    volumes_answer("204 204 204");
    ck_assert_uint_eq(rec.holder_count, 3);
    ck_assert_uint_eq(rec.maybe_count, 1); /* v6 is to be told in the end, too */
    ck_assert_uint_eq(fake_index.commits, 0);
}
END_TEST

START_TEST(an_index_that_fails_marks_nothing)
{
    record_is("W1;tombstone 7;garbage 7 larder v2:1;");
    fake_volumes[1].state = VOLUME_DOWN;
    fake_index.fail_at = 1;
    fake_index.fail_with = ST_NO_SPACE;
    bury(false);
    volumes_answer("");
    index_commits();
    ck_trace("ask:DELETE() commit ");
    ck_assert_uint_eq(buried, 1);
    ck_assert_uint_eq(rec.holder_count, 0);
    ck_assert(rec.has_tombstone);
}
END_TEST

/* A live key: its old versions are garbage, and there is no tombstone. */
START_TEST(without_a_tombstone_none_is_made)
{
    record_is("W1;garbage 7 larder v2:1;");
    fake_volumes[1].state = VOLUME_DOWN;
    bury(true);
    ck_trace("ask:DELETE() ");
    volumes_answer("");
    ck_assert_uint_eq(buried, 1);
    ck_assert_uint_eq(rec.garbage.count, 1);
}
END_TEST

START_TEST(questions_that_cannot_be_asked)
{
    record_is("W1;tombstone 7;garbage 7 larder v1:1;");
    questions.fail_at = 1;
    ck_assert_int_eq(bury_start(&fake_worker, "test", &fake_key, &rec, false, has_buried, &rec),
                     ST_NO_MEMORY);
    ck_assert_uint_eq(buried, 0);
    questions.fail_at = 3; /* the marking */
    bury(false);
    volumes_answer("500");
    index_commits();
    ck_assert_uint_eq(buried, 1);
    ck_assert(rec.has_tombstone);
    ck_assert_uint_eq(rec.garbage.count, 1);
}
END_TEST

/* Answers: the copies are gone, or one of them is not. */
static const char *first_answer;

static void play_without_memory(unsigned k)
{
    setup();
    record_is("W1;tombstone 7;garbage 7 larder v1:1;garbage 7 larder v2:1;");
    if (strcmp(first_answer, "204 204") == 0)
        ck_assert_int_eq(record_add_holder(&rec, "v3:1"), ST_OK);
    memory_arm(k);
    enum status st = bury_start(&fake_worker, "test", &fake_key, &rec, false, has_buried, &rec);
    if (questions.pending)
        volumes_answer(first_answer);
    if (fake_index.pending)
        index_commits();
    if (questions.pending)
        volumes_all_answer("204");
    memory.left = 0;
    ck_assert_uint_eq(buried, st == ST_OK);
    /* Nothing is taken for gone that is not, and a tombstone stays as long as it has to. */
    ck_assert(st == ST_OK || rec.garbage.count == 2);
    ck_assert(rec.garbage.count == 0 || rec.has_tombstone);
    record_free(&rec);
}

START_TEST(memory_may_run_out_anywhere)
{
    first_answer = _i ? "204 204" : "204 -";
    memory_sweep(play_without_memory);
}
END_TEST

int main(void)
{
    const struct played tests[] = {{garbage_that_is_gone_leaves_the_list, 1},
                                   {only_what_is_due, 2},
                                   {a_few_dozen_at_a_time, 2},
                                   {volumes_that_cannot_delete_are_not_asked, 1},
                                   {what_was_not_there_may_come_yet, 1},
                                   {a_tombstone_ends_with_the_last_copy, 1},
                                   {a_tombstone_goes_to_volumes_while_copies_remain, 1},
                                   {a_tombstone_is_taken_off_volumes_in_the_end, 1},
                                   {a_tombstone_is_taken_off_volumes_that_may_have_it, 1},
                                   {a_tombstone_that_has_grown_is_marked_again, 1},
                                   {an_index_that_fails_marks_nothing, 1},
                                   {without_a_tombstone_none_is_made, 1},
                                   {questions_that_cannot_be_asked, 1},
                                   {memory_may_run_out_anywhere, 2},
                                   {NULL, 0}};
    return play_all("master_bury", tests, setup, teardown);
}
