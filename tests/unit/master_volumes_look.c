/* The table of volumes, as readers are told of it. */
#include "master/volumes.h"

#include "tests/unit/volumes_fixture.h"

/* The stamp spares the digests only as long as they would come to the same. */
START_TEST(stamps_are_of_the_volumes_that_keep_copies)
{
    struct place ranked[3];
    const char *const names[] = {"a:1", "b:1", "b:1/sub"};
    ck_assert_int_eq(placement_rank(&key, names, 3, 3, ranked), ST_OK);
    const char *const places[] = {ranked[0].name, ranked[1].name};
    struct volume_copy copies[2];
    struct buf text = BUF_INIT;
    uint64_t stamp = 0;
    ck_assert(volumes_look(volumes, &key, 2, places, 2, &text, copies, &stamp));
    uint64_t first = stamp;
    ck_assert_uint_ne(first, 0);
    ck_assert_uint_eq(volumes_stamp(volumes, &key, 2, places, 2), first);
    ck_assert(volumes_look(volumes, &key, 2, places, 2, &text, copies, &stamp));
    ck_assert_uint_eq(stamp, first);
    stamp ^= 1; /* it is believed */
    ck_assert(!volumes_look(volumes, &key, 2, places, 2, &text, copies, &stamp));

    struct volume_facts facts;
    ck_assert(volumes_facts(volumes, names[ranked[0].volume], &facts));
    facts.draining = true;
    ck_assert_int_eq(volumes_set(volumes, names[ranked[0].volume], &facts), ST_OK);
    stamp = first;
    ck_assert(!volumes_look(volumes, &key, 2, places, 2, &text, copies, &stamp));
    ck_assert_uint_ne(stamp, first);
    facts.draining = false;
    ck_assert_int_eq(volumes_set(volumes, names[ranked[0].volume], &facts), ST_OK);
    ck_assert(volumes_look(volumes, &key, 2, places, 2, &text, copies, &stamp));
    ck_assert_uint_eq(stamp, first);
    add("new:1", NULL);
    (void)volumes_look(volumes, &key, 2, places, 2, &text, copies, &stamp);
    ck_assert_uint_ne(stamp >> 1, first >> 1);

    for (int i = 4; i <= 62; i++) { /* so many have a bit each */
        char name[16];
        ck_assert_uint_ne(volumes_stamp(volumes, &key, 2, places, 2), 0);
        (void)snprintf(name, sizeof name, "n%d:1", i);
        add(name, NULL);
    }
    ck_assert_uint_eq(volumes_stamp(volumes, &key, 2, places, 2), 0);
    buf_free(&text);
}
END_TEST

START_TEST(it_hesitates_while_an_answer_is_late)
{
    (void)checked(0, ID_A);
    fake_now += 5000; /* nobody has asked */
    ck_assert(!hesitates("a:1/sv00"));
    volumes_asked(volumes, 0);
    fake_now += 249;
    ck_assert(!hesitates("a:1/sv00"));
    fake_now += 1;
    ck_assert(hesitates("a:1/sv00"));
    ck_assert(!hesitates("b:1"));
    ck_assert(!hesitates("nobody:1"));
    ck_state("a:1", VOLUME_UP); /* no more than that */
    (void)checked(0, ID_A);
    ck_assert(!hesitates("a:1/sv00"));
}
END_TEST

int main(void)
{
    const struct played tests[] = {{stamps_are_of_the_volumes_that_keep_copies, 1},
                                   {it_hesitates_while_an_answer_is_late, 1},
                                   {NULL, 0}};
    return play_all("master_volumes_look", tests, three_volumes, no_volumes);
}
