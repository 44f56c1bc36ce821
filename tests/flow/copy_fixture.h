/* Copying from a volume to others, over fakes: for the tests of copy.c. */
#ifndef LARDER_TESTS_FLOW_COPY_FIXTURE_H
#define LARDER_TESTS_FLOW_COPY_FIXTURE_H

#include "common/md5.h"
#include "master/copy.h"
#include "master/ration.h"
#include "tests/flow/fake_client.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/flow/fake_replicate.h"
#include "tests/flow/fake_volumes.h"

static const char *const sources[] = {"v1:1", "v2:1"};
static const char *const targets[] = {"v4:1", "v5:1"};

static unsigned ends;
static enum status ended;
static bool stored[2];
static uint64_t copied;

static inline void has_copied(void *arg, enum status st, const bool *which, uint64_t bytes)
{
    ck_assert_ptr_eq(arg, &ends);
    ends++;
    ended = st;
    memcpy(stored, which, sizeof stored);
    copied = bytes;
}

static inline void setup(void)
{
    master_is_new();
    volumes_are(6);
    memset(&uploads, 0, sizeof uploads);
    memset(stored, 0, sizeof stored);
    ration_free(fake_worker.copies);
    fake_worker.copies = ration_new(fake_worker.loop, 1000);
    ck_assert_ptr_nonnull(fake_worker.copies);
    ends = 0;
}

static inline void teardown(void)
{
    ck_assert_uint_eq(ends, 1);
    ck_assert_ptr_null(uploads.rep);
    ration_free(fake_worker.copies);
    fake_worker.copies = NULL;
    ck_assert_ptr_null(fake_timers);
    calls_forget();
}

/* `value`: NULL, or that it is in memory. */
static inline enum status copy_value(size_t source_count, uint64_t length, const char *value)
{
    char path[] = "/54/a9/L2s=";
    char md5[] = FAKE_MD5;
    const struct copy_spec spec = {.worker = &fake_worker,
                                   .request = "test",
                                   .path = path,
                                   .md5 = md5,
                                   .sources = sources,
                                   .source_count = source_count,
                                   .targets = targets,
                                   .target_count = 2,
                                   .length = length,
                                   .value = value,
                                   .type = value ? "image/png" : NULL,
                                   .done = has_copied,
                                   .arg = &ends};
    ends = 0;
    enum status st = copy_start(&spec);
    memset(path, 'x', sizeof path - 1); /* it has its own */
    memset(md5, 'x', sizeof md5 - 1);
    ck_assert_uint_eq(ends, 0);
    return st;
}

static inline enum status copy_from_length(size_t source_count, uint64_t length)
{
    return copy_value(source_count, length, NULL);
}

static inline enum status copy_from(size_t source_count)
{
    return copy_from_length(source_count, 5);
}

/* Up to the first bytes of the source; the call to it. */
static inline struct http_call *start_copy(void)
{
    ck_assert_int_eq(copy_from(2), ST_OK);
    loop_turns();
    ck_trace("GET:v1:1 ");
    struct http_call *call = call_to("v1:1");
    ck_assert_str_eq(call->url, "http://v1:1/54/a9/L2s=");
    call->status = 200;
    call->length = "5";
    call->type = "image/png";
    return call;
}

static inline void second_source_is_good(void)
{
    struct http_call *call = call_to("v2:1");
    ck_assert_ptr_null(uploads.rep); /* nothing of the first is left */
    call->status = 200;
    ck_assert(call_brings(call, "value"));
    call_ends(call, ST_OK, 200);
    ck_assert_int_eq(uploads.rep->spec.length, -1);
    ck_assert_uint_eq(uploads.rep->len, 5);
    upload_ends(ST_OK, "SS");
    ck_assert_int_eq(ended, ST_OK);
}

#endif
