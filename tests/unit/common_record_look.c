/* A record that is only looked at: it has what a decoded one has. */
#include <string.h>

#include "common/record.h"
#include "tests/unit/suite.h"

/* record_look() and record_decode() read the same, and refuse the same. */
static void check_look(const char *value)
{
    char text[8192];
    struct record rec;
    struct record_view view;
    size_t len = strlen(value);
    ck_assert_uint_lt(len, sizeof text);
    memcpy(text, value, len + 1);
    text[len] = '#'; /* stands where the NUL goes */
    record_init(&rec);
    enum status st = record_decode(&rec, value, len, NULL, 0);
    ck_assert_msg(record_look(&view, text, len) == st, "'%s'", value);
    if (!st) {
        ck_assert_int_eq(view.state, rec.state);
        ck_assert_uint_eq(view.generation, rec.generation);
        ck_assert_int_eq(view.naming, rec.naming);
        ck_assert_str_eq(view.md5, rec.md5);
        ck_assert_uint_eq(view.place_count, rec.place_count);
        for (size_t i = 0; i < rec.place_count; i++)
            ck_assert_str_eq(view.places[i], rec.places[i]);
    }
    record_free(&rec);
}

START_TEST(a_look_sees_what_a_record_has)
{
    char many[8192] = "";
    static const char *const texts[] = {
        "h:1",
        "h:1,h:2/sv01,h:3",
        "h:1,",
        "HASH00000000000000000000000000000001h:1,h:2",
        "DELETEDHASH00000000000000000000000000000001h:1",
        "DELETEDh:1",
        "L1 live 17 larder - v2:1,v1:1,v3:1",
        "L1 unlinked 0 mkv 0000000000000000000000000000000A h:1",
        "",
        ",h:1",
        "h:1,,h:2",
        "h:1,h 2",
        "HASH0000h:1",
        "HASH0000000000000000000000000000000gh:1",
        "HASH00000000000000000000000000000001",
        "L1 ",
        "L1 gone 17 larder - h:1",
        "L1 live x larder - h:1",
        "L1 live 17 larder -",
        "L1 live 17 larder - ",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check_look(texts[i]);
    for (size_t i = 0; i < RECORD_COPIES_MAX; i++)
        memcpy(many + 4 * i, ",h:1", 5);
    check_look(many + 1);
    memcpy(many + (size_t)4 * RECORD_COPIES_MAX, ",h:1", 5);
    check_look(many + 1); /* one too many */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_look_sees_what_a_record_has, NULL};
    Suite *suite = suite_create("record look");
    (void)suite_case(suite, "record look", tests);
    return suite_run(suite);
}
