/* The scrub's pace, its position, its walk, and the quarantine: without threads. */
#include <inttypes.h>

#include "common/buf.h"
#include "tests/unit/volume_dir.h"
#include "volume/quarantine.h"
#include "volume/scrub_pace.h"
#include "volume/scrub_position.h"
#include "volume/scrub_walk.h"

static const uint64_t day_ms = 24ULL * 3600 * 1000;

/* --- Pace --- */

START_TEST(test_rate_follows_from_what_is_stored)
{
    const uint64_t tera = 1ULL << 40;
    uint64_t rate = scrub_pace_rate(16 * tera, 0, 30 * day_ms);
    uint64_t days = 16 * tera / rate / (day_ms / 1000);
    ck_assert_uint_ge(days, 26);
    ck_assert_uint_le(days, 27);
    ck_assert_uint_eq(scrub_pace_rate(1 << 20, 10, 30 * day_ms), SCRUB_PACE_FLOOR);
    /* Many small files are work, too. */
    ck_assert_uint_gt(scrub_pace_rate(tera, 1000000000, 30 * day_ms),
                      scrub_pace_rate(tera, 0, 30 * day_ms));
    ck_assert(scrub_pace_rate(tera, 0, 0) == UINT64_MAX);
}
END_TEST

START_TEST(test_pace_keeps_the_rate)
{
    struct scrub_pace pace = {.free_at_us = 0};
    uint64_t now = 100000000, waited = 0;
    const uint64_t rate = 1000000, step = 100000;
    for (int i = 0; i < 100; i++) {
        uint64_t wait = scrub_pace_spend(&pace, now, step, rate);
        waited += wait;
        now += wait;
    }
    /* 10 MB at 1 MB/s, of which a second was saved up. */
    ck_assert_uint_ge(waited, 8900000);
    ck_assert_uint_le(waited, 9100000);
    /* A day of idleness is not made up for. */
    now += 86400ULL * 1000 * 1000;
    waited = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t wait = scrub_pace_spend(&pace, now, step, rate);
        waited += wait;
        now += wait;
    }
    ck_assert_uint_ge(waited, 8900000);
    ck_assert(scrub_pace_spend(&pace, now, UINT64_MAX / 4, UINT64_MAX) == 0);
    ck_assert(scrub_pace_spend(&pace, now, 1ULL << 40, 1) > 1ULL << 40); /* nothing overflows */
}
END_TEST

/* --- Position --- */

static struct scrub_position some_position(void)
{
    struct scrub_position position = {.after = NULL};
    scrub_position_start(&position, 1000);
    position.values = 7;
    position.bytes = 70;
    position.damaged = 1;
    position.total = 99;
    position.rate = UINT64_MAX;
    ck_assert(scrub_position_advance(&position, "aa/bb/odd\nname after x"));
    return position;
}

START_TEST(test_position_survives)
{
    struct scrub_position position = some_position(), back = {.after = NULL};
    ck_assert_int_eq(put("x", "x"), ST_OK);
    ck_assert_int_eq(scrub_position_load(&back, all, 1), ST_NOT_FOUND);
    ck_assert_int_eq(scrub_position_save(&position, all, 1), ST_OK);
    ck_assert_int_eq(scrub_position_load(&back, all, 1), ST_OK);
    ck_assert(back.running && !back.forced && back.started == 1000 && back.finished == 0);
    ck_assert(back.values == 7 && back.bytes == 70 && back.damaged == 1 && back.total == 99);
    ck_assert(back.rate == UINT64_MAX);
    ck_assert_str_eq(back.after, position.after);
    scrub_position_finish(&back, 2000);
    ck_assert(!back.running && back.finished == 2000 && back.total == 70 && !back.after);
    scrub_position_clear(&back);
    scrub_position_clear(&position);
}
END_TEST

START_TEST(test_damaged_position_is_none)
{
    struct scrub_position position = some_position(), back;
    struct buf text = BUF_INIT;
    scrub_position_format(&position, &text);
    for (size_t len = 0; len < text.len; len++) {
        struct buf part = BUF_INIT;
        buf_add(&part, text.data, len);
        enum status st = scrub_position_parse(&back, buf_text(&part), len);
        if (st == ST_OK) /* cut off right behind the newline in the path */
            ck_assert_str_eq(back.after, "aa/bb/odd");
        else
            ck_assert_ptr_null(back.after);
        scrub_position_clear(&back);
        buf_free(&part);
    }
    for (size_t i = 0; i < text.len; i++) {
        text.data[i] ^= 0x40;
        if (scrub_position_parse(&back, text.data, text.len) == ST_OK)
            scrub_position_clear(&back);
        text.data[i] ^= 0x40;
    }
    buf_free(&text);
    scrub_position_clear(&position);
}
END_TEST

START_TEST(test_when_a_round_is_due)
{
    struct scrub_position position = {.after = NULL};
    const uint64_t now = 100 * day_ms;
    ck_assert(scrub_position_due(&position, 30 * day_ms, now) == now);
    ck_assert(scrub_position_due(&position, 0, now) == UINT64_MAX);
    scrub_position_start(&position, now - day_ms);
    scrub_position_finish(&position, now);
    ck_assert(scrub_position_due(&position, 30 * day_ms, now) == now + 29 * day_ms);
    /* The clock was set back. */
    ck_assert(scrub_position_due(&position, 30 * day_ms, now - 2 * day_ms) == now - 2 * day_ms);
}
END_TEST

/* --- Walk --- */

/* The paths from `after` on, with a space behind each. */
static void walk(const char *after, struct buf *paths)
{
    struct scrub_walk *walk = scrub_walk_new(all, 1, after);
    const char *path;
    buf_clear(paths);
    ck_assert_ptr_nonnull(walk);
    while (!scrub_walk_next(walk, &path) && path)
        buf_addf(paths, "%s ", path);
    scrub_walk_free(walk);
}

START_TEST(test_walk)
{
    struct buf paths = BUF_INIT;
    static const char *const files[] = {"sv00/b/x/2", "sv00/b/x/1",     "sv00/a/y/3",
                                        "sv00/top",   "sv00/.larder/z", "sv00/b/w"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        write_file(files[i], "x");
    walk(NULL, &paths);
    ck_assert_str_eq(buf_text(&paths), "a/y/3 b/w b/x/1 b/x/2 top ");
    walk("b/w", &paths);
    ck_assert_str_eq(buf_text(&paths), "b/x/1 b/x/2 top ");
    walk("b/x/1", &paths);
    ck_assert_str_eq(buf_text(&paths), "b/x/2 top ");
    walk("a/z/nothing/here", &paths); /* what it was left at is gone */
    ck_assert_str_eq(buf_text(&paths), "b/w b/x/1 b/x/2 top ");
    walk("b/x", &paths); /* was a file then, and is a directory now */
    ck_assert_str_eq(buf_text(&paths), "top ");
    walk("top", &paths);
    ck_assert_str_eq(buf_text(&paths), "");
    buf_free(&paths);
}
END_TEST

/* More names than a batch has: each is visited once, in order. */
START_TEST(test_walk_of_a_large_directory)
{
    enum { MANY = 9000 };
    char path[64], last[64] = "";
    const char *next;
    unsigned count = 0;
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(path, sizeof path, "sv00/d/%u", i * 7919 % MANY);
        write_file(path, "");
    }
    struct scrub_walk *w = scrub_walk_new(all, 1, NULL);
    ck_assert_ptr_nonnull(w);
    while (!scrub_walk_next(w, &next) && next) {
        ck_assert_int_lt(strcmp(last, next), 0);
        (void)snprintf(last, sizeof last, "%s", next);
        count++;
    }
    ck_assert_uint_eq(count, MANY);
    scrub_walk_free(w);
}
END_TEST

/* DIR's own walk is not that of the disks in it. */
START_TEST(test_walk_passes_over_disks)
{
    const char *path;
    write_file("sv00/a", "x");
    write_file("svx/a", "x");
    struct scrub_walk *w = scrub_walk_new(all, 0, NULL);
    ck_assert_ptr_nonnull(w);
    ck_assert_int_eq(scrub_walk_next(w, &path), ST_OK);
    ck_assert_str_eq(path, "svx/a");
    ck_assert_int_eq(scrub_walk_next(w, &path), ST_OK);
    ck_assert_ptr_null(path);
    scrub_walk_free(w);
}
END_TEST

/* --- Quarantine --- */

struct found {
    unsigned count;
    bool there;
    char id[QUARANTINE_ID];
    char path[64];
};

static bool note_found(void *arg, const char *id, const char *path, bool there)
{
    struct found *found = arg;
    found->count++;
    found->there = there;
    (void)snprintf(found->id, sizeof found->id, "%s", id);
    (void)snprintf(found->path, sizeof found->path, "%s", path);
    return true;
}

static struct found scan(void)
{
    struct found found = {.count = 0};
    struct store_at where = at("");
    ck_assert_int_eq(quarantine_scan(&where, note_found, &found), ST_OK);
    return found;
}

START_TEST(test_quarantine)
{
    struct store_at where = at("aa/bb/name");
    struct store_value value;
    struct quarantine_entry entry = {.reason = "a \"reason\""};
    ck_assert_int_eq(put("aa/bb/name", "value"), ST_OK);
    ck_assert_uint_eq(scan().count, 0);
    ck_assert_int_eq(quarantine_take(&where, &entry), ST_OK);
    ck_assert_int_eq(store_open(&where, &value), ST_NOT_FOUND);
    struct found found = scan();
    ck_assert(found.count == 1 && found.there);
    ck_assert_str_eq(found.path, "aa/bb/name");
    ck_assert_str_eq(found.id, entry.id);
    ck_assert_int_eq(quarantine_told(&where, entry.id), ST_OK);
    ck_assert_uint_eq(scan().count, 0);
    ck_assert_int_eq(quarantine_told(&where, entry.id), ST_NOT_FOUND);
    struct subvolume_report report;
    subvolume_report(subvolumes_find(all, 1), &report);
    ck_assert_uint_eq(report.quarantined, 1);
}
END_TEST

/* A value that was replaced after it was examined is another one. */
START_TEST(test_quarantine_leaves_a_new_value_alone)
{
    struct store_at where = at("aa/bb/name");
    struct store_value value;
    ck_assert_int_eq(put("aa/bb/name", "old"), ST_OK);
    ck_assert_int_eq(store_open(&where, &value), ST_OK);
    struct quarantine_entry entry = {.device = value.device, .inode = value.inode, .reason = "old"};
    ck_assert_int_eq(put("aa/bb/name", "new"), ST_OK);
    ck_assert_int_eq(quarantine_take(&where, &entry), ST_NOT_FOUND);
    (void)close(value.fd);
    ck_assert_int_eq(store_open(&where, &value), ST_OK);
    (void)close(value.fd);
    ck_assert_uint_eq(scan().count, 0);
}
END_TEST

/* The process was killed after the note, before the move. */
START_TEST(test_quarantine_after_a_crash)
{
    ck_assert_int_eq(put("aa/bb/name", "value"), ST_OK);
    write_file("sv00/.larder/quarantine/0123-4.untold", "{\"path\": \"aa/bb/name\"}\n");
    struct found found = scan();
    ck_assert(found.count == 1 && !found.there);
    ck_assert_str_eq(found.path, "aa/bb/name");
    struct store_at where = at("");
    ck_assert_int_eq(quarantine_drop(&where, found.id), ST_OK);
    ck_assert_uint_eq(scan().count, 0);
}
END_TEST

START_TEST(test_quarantine_of_a_long_name)
{
    char file[700];
    memset(file, 'x', sizeof file);
    file[250] = file[500] = '/';
    file[699] = 0;
    struct store_at where = at(file);
    struct quarantine_entry entry = {.reason = "long"};
    ck_assert_int_eq(put(file, "value"), ST_OK);
    ck_assert_int_eq(quarantine_take(&where, &entry), ST_OK);
    struct found found = scan();
    ck_assert(found.count == 1 && found.there);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("volume scrub");
    const TTest *pure[] = {test_rate_follows_from_what_is_stored, test_pace_keeps_the_rate,
                           test_damaged_position_is_none, test_when_a_round_is_due, NULL};
    const TTest *on_disk[] = {test_position_survives,
                              test_walk,
                              test_walk_of_a_large_directory,
                              test_walk_passes_over_disks,
                              test_quarantine,
                              test_quarantine_leaves_a_new_value_alone,
                              test_quarantine_after_a_crash,
                              test_quarantine_of_a_long_name,
                              NULL};
    (void)suite_case(suite, "pure", pure);
    (void)dir_case(suite, "disk", on_disk);
    return suite_run(suite);
}
