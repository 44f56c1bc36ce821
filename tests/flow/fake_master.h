/* A master without threads, sockets and disks: what flows need of struct worker. */
#ifndef LARDER_TESTS_FLOW_FAKE_MASTER_H
#define LARDER_TESTS_FLOW_FAKE_MASTER_H

#include "common/key.h"
#include "master/config.h"
#include "master/worker.h"
#include "tests/flow/fake_base.h"

static struct config fake_config;
static struct master fake_master;
static struct worker fake_worker;
static struct key fake_key;

/* Three copies, two of which suffice; three seconds of grace. */
static inline void master_is_new(void)
{
    be_quiet();
    memory_arm(0);
    trace[0] = 0;
    fake_config = (struct config){
        .replicas = 3, .min_replicas = 2, .subvolumes = 1, .md5sum = true, .grace_ms = 3000};
    fake_master.config = &fake_config;
    fake_worker.master = &fake_master;
    fake_worker.random = 1;
    ck_assert_int_eq(key_from_bytes(&fake_key, "/k", 2), ST_OK);
}

#endif
