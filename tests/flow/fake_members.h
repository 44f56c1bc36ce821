/*
 * The table of volumes and its roll, both real, over the fake index: what a test of membership
 * begins with. The index notes "NAME=JSON".
 */
#ifndef LARDER_TESTS_FLOW_FAKE_MEMBERS_H
#define LARDER_TESTS_FLOW_FAKE_MEMBERS_H

#include "common/loop.h"
#include "master/roll.h"
#include "master/volumes.h"
#include "tests/flow/fake_index.h"
#include "tests/flow/fake_master.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct volumes *members;

void index_change_volume(struct index_change *change, const char *name, const char *value)
{
    buf_addf(&change->ops, "%s=%s", name, value);
    buf_addc(&change->ops, 0);
    buf_addc(&change->ops, 0);
}

static inline struct volume_facts facts_of(const char *name)
{
    struct volume_facts facts;
    (void)volumes_facts(members, name, &facts);
    return facts;
}

/* A volume of the store, added at the time 7. */
static inline void member_is(const char *name, const char *id, const char *address)
{
    struct volume_facts facts = {.added_ms = 7};
    (void)snprintf(facts.id, sizeof facts.id, "%s", id);
    (void)snprintf(facts.address, sizeof facts.address, "%s", address);
    ck_assert_int_eq(volumes_set(members, name, &facts), ST_OK);
}

/* A health check of volume i found this identity (NULL: no answer). */
static inline void member_answers(size_t i, const char *id)
{
    struct volume_facts facts = facts_of(volumes_name(members, i));
    struct volume_report report = {
        .address = facts.address, .answered = id != NULL, .kind = VOLUME_LARDER};
    (void)snprintf(report.id, sizeof report.id, "%s", id ? id : "");
    (void)volumes_checked(members, i, &report);
}

/* No volumes; one loop. */
static inline void members_begin(void)
{
    master_is_new();
    index_holds("", "");
    members = volumes_new(1, 600000);
    ck_assert_ptr_nonnull(members);
    fake_master.volumes = members;
    fake_master.roll = roll_new(NULL, members);
    ck_assert_ptr_nonnull(fake_master.roll);
    fake_master.workers = &fake_worker;
    fake_master.worker_count = 1;
}

static inline void members_end(void)
{
    roll_free(fake_master.roll);
    roll_free(NULL);
    volumes_free(members);
}

#endif
