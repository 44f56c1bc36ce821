/* The ring between a stream and its readers. */
#include "master/window.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/suite.h"

static struct window window;

static void make(size_t size)
{
    ck_assert_int_eq(window_init(&window, size), 0);
}

static void teardown(void)
{
    window_free(&window);
    window_free(&window); /* twice does no harm */
}

/* What a reader at `position` gets. */
static void check_read(uint64_t position, uint64_t limit, size_t max, const char *expected)
{
    char got[64] = "";
    size_t n = window_read(&window, position, limit, got, max);
    ck_assert_uint_eq(n, strlen(expected));
    ck_assert_int_eq(memcmp(got, expected, n), 0);
}

START_TEST(bytes_go_through)
{
    make(10);
    ck_assert_uint_eq(window_write(&window, "hello", 5, 0), 5);
    check_read(0, 100, 64, "hello");
    check_read(2, 100, 2, "ll");
    check_read(1, 3, 64, "el"); /* not beyond the limit */
    check_read(5, 100, 64, "");
    check_read(3, 3, 64, "");
    check_read(3, 2, 64, "");
    ck_assert_uint_eq(window_write(&window, "", 0, 0), 0);
}
END_TEST

START_TEST(the_slowest_reader_keeps_its_bytes)
{
    make(10);
    ck_assert_uint_eq(window_write(&window, "0123456789ab", 12, 0), 10);
    ck_assert_uint_eq(window_write(&window, "a", 1, 0), 0); /* full, and all of it needed */
    ck_assert_uint_eq(window_write(&window, "abcdef", 6, 4), 4);
    ck_assert_uint_eq(window.start, 4);
    check_read(4, 100, 64, "456789abcd");
    check_read(9, 100, 64, "9abcd"); /* around the ring's end */
    check_read(12, 13, 64, "c");
}
END_TEST

/* What nobody needs any more is kept all the same while there is room, for one that begins anew. */
START_TEST(the_beginning_stays_while_there_is_room)
{
    make(10);
    ck_assert_uint_eq(window_write(&window, "01234", 5, 0), 5);
    ck_assert_uint_eq(window_write(&window, "56789", 5, 5), 5);
    ck_assert_uint_eq(window.start, 0);
    check_read(0, 100, 64, "0123456789");
    ck_assert_uint_eq(window_write(&window, "a", 1, 10), 1);
    ck_assert_uint_eq(window.start, 1);
    check_read(1, 100, 64, "123456789a");
}
END_TEST

START_TEST(one_byte_is_a_window)
{
    make(1);
    for (uint64_t at = 0; at < 26; at++) {
        const char text[] = {(char)('a' + (int)at), 0};
        ck_assert_uint_eq(window_write(&window, text, 1, at), 1);
        ck_assert_uint_eq(window_write(&window, text, 1, at), 0);
        check_read(at, 100, 64, text);
    }
}
END_TEST

/* Against a plain copy of the stream, with readers of different speeds. */
START_TEST(random_sizes_lose_nothing)
{
    enum { LENGTH = 100000, READERS = 3, SIZE = 97 };
    char *stream = malloc(LENGTH);
    uint64_t at[READERS] = {0};
    size_t written = 0;
    unsigned random = 1;
    ck_assert_ptr_nonnull(stream);
    for (size_t i = 0; i < LENGTH; i++)
        stream[i] = (char)(i * 31 % 253);
    make(SIZE);
    while (at[0] < LENGTH || at[1] < LENGTH || at[2] < LENGTH) {
        char got[SIZE];
        random = random * 1103515245U + 12345U;
        size_t size = random >> 16 & 63U;
        uint64_t needed = at[0] < at[1] ? at[0] : at[1];
        needed = at[2] < needed ? at[2] : needed;
        size = size < LENGTH - written ? size : LENGTH - written;
        written += window_write(&window, stream + written, size, needed);
        ck_assert_uint_eq(window.end, written);
        ck_assert_uint_le(window.end - window.start, SIZE);
        ck_assert_uint_le(window.start, needed);
        size_t reader = random >> 24 & 3U;
        if (reader == READERS)
            continue;
        size_t n = window_read(&window, at[reader], written, got, (random >> 8 & 31U) + 1);
        ck_assert_mem_eq(got, stream + at[reader], n);
        at[reader] += n;
    }
    free(stream);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {bytes_go_through,
                                  the_slowest_reader_keeps_its_bytes,
                                  the_beginning_stays_while_there_is_room,
                                  one_byte_is_a_window,
                                  random_sizes_lose_nothing,
                                  NULL};
    Suite *suite = suite_create("master_window");
    tcase_add_checked_fixture(suite_case(suite, "window", tests), NULL, teardown);
    return suite_run(suite);
}
