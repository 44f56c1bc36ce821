/* Tombstones, and going through all of them. */
#include "volume/tombstone.h"

#include "common/buf.h"
#include "common/json.h"
#include "common/key.h"
#include "common/loop.h"
#include "common/name.h"
#include "tests/unit/volume_dir.h"
#include "volume/fence.h"
#include "volume/tombstone_walk.h"

enum { PIECE_MAX = 80 * 1024 };

static struct key make_key(const char *text)
{
    struct key key;
    ck_assert_int_eq(key_from_bytes(&key, text, strlen(text)), ST_OK);
    return key;
}

/* The JSON of all tombstones of sv00 (the caller frees it); *pieces: how many it came in. */
static struct json *walk(unsigned *pieces)
{
    struct store_at where = at("");
    struct tombstone_walk *walk;
    struct buf text = BUF_INIT, piece = BUF_INIT;
    bool more = true;
    ck_assert_int_eq(tombstone_walk_begin(&walk, &where), ST_OK);
    for (*pieces = 0; more; (*pieces)++) {
        buf_clear(&piece);
        ck_assert_int_eq(tombstone_walk_next(walk, &piece, &more), ST_OK);
        ck_assert_uint_lt(piece.len, PIECE_MAX);
        buf_add(&text, piece.data, piece.len);
    }
    tombstone_walk_free(walk);
    char error[256] = "";
    struct json *json = json_parse(buf_text(&text), text.len, error);
    ck_assert_msg(json != NULL, "%s", error);
    buf_free(&text);
    buf_free(&piece);
    return json;
}

/* The generation that is listed for the key; -1: none. */
static int64_t listed(const struct key *key)
{
    unsigned pieces;
    struct buf name = BUF_INIT;
    int64_t found = -1;
    ck_assert_int_eq(name_path(&name, key, 0, NAMING_LARDER), ST_OK);
    struct json *json = walk(&pieces);
    const struct json *list = json_member(json, "tombstones");
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *item = json_item(list, i);
        if (!strcmp(json_text(json_member(item, "path")), buf_text(&name) + 1))
            found = json_int(json_member(item, "generation"), -2);
    }
    json_free(json);
    buf_free(&name);
    return found;
}

START_TEST(test_put_and_drop)
{
    struct key key = make_key("/some key"), other = make_key("/other");
    struct store_at where = at("x");
    ck_assert_int_eq(listed(&key), -1); /* where nothing was ever written */
    ck_assert_int_eq(tombstone_drop(&where, &key), ST_NOT_FOUND);
    ck_assert_int_eq(tombstone_put(&where, &key, 7), ST_OK);
    ck_assert_int_eq(tombstone_put(&where, &other, 0), ST_OK);
    ck_assert_int_eq(listed(&key), 7);
    ck_assert_int_eq(listed(&other), 0);
    ck_assert_int_eq(tombstone_drop(&where, &key), ST_OK);
    ck_assert_int_eq(tombstone_drop(&where, &key), ST_NOT_FOUND);
    ck_assert_int_eq(listed(&key), -1);
    ck_assert_int_eq(listed(&other), 0);
}
END_TEST

START_TEST(test_a_term_that_is_over)
{
    struct key key = make_key("/some key");
    struct fence fence = {0};
    struct store_at where = at("x");
    ck_assert_int_eq(tombstone_put(&where, &key, 7), ST_OK);
    where.fence = &fence;
    where.term = 5;
    ck_assert(fence_hear(&fence, 6, loop_now_ms()));
    ck_assert_int_eq(tombstone_put(&where, &key, 8), ST_NOT_WRITER);
    ck_assert_int_eq(tombstone_drop(&where, &key), ST_NOT_WRITER);
    ck_assert_int_eq(listed(&key), 7);
}
END_TEST

START_TEST(test_only_a_larger_generation_replaces)
{
    struct key key = make_key("/some key");
    struct store_at where = at("x");
    ck_assert_int_eq(tombstone_put(&where, &key, 7), ST_OK);
    ck_assert_int_eq(tombstone_put(&where, &key, 6), ST_OK);
    ck_assert_int_eq(listed(&key), 7);
    ck_assert_int_eq(tombstone_put(&where, &key, 1795274484040), ST_OK);
    ck_assert_int_eq(listed(&key), 1795274484040);
    dir_close();
    dir_open();
    ck_assert_int_eq(listed(&key), 1795274484040);
}
END_TEST

START_TEST(test_long_names)
{
    char text[KEY_MAX + 1];
    memset(text, 'k', KEY_MAX);
    text[0] = '/';
    text[KEY_MAX] = 0;
    struct key key = make_key(text);
    struct store_at where = at("x");
    ck_assert_int_eq(tombstone_put(&where, &key, 5), ST_OK);
    ck_assert_int_eq(listed(&key), 5);
    ck_assert_int_eq(tombstone_drop(&where, &key), ST_OK);
}
END_TEST

START_TEST(test_damaged)
{
    struct key key = make_key("/some key");
    struct store_at where = at("x");
    struct buf file = BUF_INIT;
    ck_assert_int_eq(tombstone_put(&where, &key, 7), ST_OK);
    buf_adds(&file, "sv00/.larder/tombstones");
    ck_assert_int_eq(name_path(&file, &key, 0, NAMING_LARDER), ST_OK);
    write_file(buf_text(&file), "rubbish");
    ck_assert_int_eq(listed(&key), 0); /* something was deleted, at least */
    ck_assert_int_eq(tombstone_put(&where, &key, 3), ST_OK);
    ck_assert_int_eq(listed(&key), 3);
    buf_free(&file);
}
END_TEST

START_TEST(test_many)
{
    enum { MANY = 2000 };
    struct store_at where = at("x");
    unsigned pieces;
    for (unsigned i = 0; i < MANY; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "/key number %u", i);
        struct key key = make_key(text);
        ck_assert_int_eq(tombstone_put(&where, &key, i), ST_OK);
    }
    struct json *json = walk(&pieces);
    ck_assert_uint_eq(json_count(json_member(json, "tombstones")), MANY);
    ck_assert_uint_gt(pieces, 1);
    json_free(json);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_put_and_drop,
                                  test_a_term_that_is_over,
                                  test_only_a_larger_generation_replaces,
                                  test_long_names,
                                  test_damaged,
                                  test_many,
                                  NULL};
    Suite *suite = suite_create("volume tombstone");
    (void)dir_case(suite, "tombstone", tests);
    return suite_run(suite);
}
