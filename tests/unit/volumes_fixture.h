/* A table of volumes: what a test adds to it, what health checks tell it, what it tells readers. */
#ifndef LARDER_TESTS_UNIT_VOLUMES_FIXTURE_H
#define LARDER_TESTS_UNIT_VOLUMES_FIXTURE_H

#include "common/buf.h"
#include "master/volumes.h"
#include "tests/flow/fake_base.h"
#include "tests/flow/fake_loop.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct volumes *volumes;
static struct key key; /* any; three_volumes() sets it */

/* `id` may be NULL: not known yet. */
static inline void add(const char *name, const char *id)
{
    struct volume_facts facts;
    ck_assert(!volumes_facts(volumes, name, &facts));
    (void)snprintf(facts.id, sizeof facts.id, "%s", id ? id : "");
    ck_assert_int_eq(volumes_set(volumes, name, &facts), ST_OK);
}

/* A fixture: three subvolumes each, down for good after ten minutes. */
static inline void three_volumes(void)
{
    be_quiet();
    fake_now = 1000;
    volumes = volumes_new(3, 600000);
    ck_assert_ptr_nonnull(volumes);
    add("a:1", NULL);
    add("b:1", NULL);
    add("b:1/sub", NULL);
    ck_assert_int_eq(key_from_bytes(&key, "/k", 2), ST_OK);
}

static inline void no_volumes(void)
{
    volumes_free(volumes);
    volumes_free(NULL);
}

#define ck_state(place, state) ck_assert_int_eq(volumes_state(volumes, place), state)

/* --- health checks --- */

/* A health check of volume i found this identity ("" none, NULL: no answer). */
static inline bool checked(size_t i, const char *id)
{
    struct volume_report report = {.answered = id != NULL, .kind = VOLUME_LARDER};
    struct volume_facts facts;
    (void)volumes_facts(volumes, volumes_name(volumes, i), &facts);
    report.address = facts.address;
    (void)snprintf(report.id, sizeof report.id, "%s", id ? id : "");
    bool first = volumes_checked(volumes, i, &report);
    ck_assert_ptr_null(report.subvolumes);
    return first;
}

/* … and one subvolume in this state. */
static inline void checked_subvolume(size_t i, const char *name, enum volume_state state)
{
    struct volume_facts facts;
    (void)volumes_facts(volumes, volumes_name(volumes, i), &facts);
    struct volume_report report = {.address = facts.address,
                                   .answered = true,
                                   .kind = VOLUME_LARDER,
                                   .free = 7,
                                   .subvolume_count = 1};
    memcpy(report.id, facts.id, sizeof report.id);
    report.subvolumes = __real_calloc(1, sizeof *report.subvolumes);
    ck_assert_ptr_nonnull(report.subvolumes);
    (void)snprintf(report.subvolumes->name, sizeof report.subvolumes->name, "%s", name);
    report.subvolumes->state = state;
    (void)volumes_checked(volumes, i, &report);
}

/* --- readers --- */

/* Whether readers are told that the copy at `place` may be late. */
static inline bool hesitates(const char *place)
{
    struct key any = {.len = 2, .bytes = "/k"};
    struct volume_copy copy;
    struct buf text = BUF_INIT;
    (void)volumes_look(volumes, &any, 1, &place, 1, &text, &copy, &(uint64_t){0});
    ck_assert_uint_eq(copy.len, text.len);
    buf_free(&text);
    return copy.hesitates;
}

#endif
