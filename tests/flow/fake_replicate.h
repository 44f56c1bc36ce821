/* The upload of one value to several places, as far as flows see it: the test says how it goes. */
#ifndef LARDER_TESTS_FLOW_FAKE_REPLICATE_H
#define LARDER_TESTS_FLOW_FAKE_REPLICATE_H

#include "master/replicate.h"
#include "tests/flow/fake_base.h"

struct replicate {
    struct replicate_spec spec;
    char path[1024], type[64], expected[MD5_HEX + 1];
    char got[256]; /* the bytes of the value so far */
    size_t len;
    bool ended;
    const char *results; /* a letter a candidate: Stored, Failed, Unused */
};

#define FAKE_MD5 "0123456789abcdef0123456789abcdef"

static struct {
    struct replicate *rep; /* under way */
    bool cannot_start;
    size_t room; /* of the window */
} uploads;

struct replicate *replicate_start(const struct replicate_spec *spec)
{
    ck_assert_ptr_null(uploads.rep);
    struct replicate *rep = uploads.cannot_start ? NULL : calloc(1, sizeof *rep);
    if (!rep)
        return NULL;
    rep->spec = *spec;
    (void)snprintf(rep->path, sizeof rep->path, "%s", spec->path);
    (void)snprintf(rep->type, sizeof rep->type, "%s", spec->type ? spec->type : "");
    (void)snprintf(rep->expected, sizeof rep->expected, "%s",
                   spec->expected_md5 ? spec->expected_md5 : "");
    for (size_t i = 0; i < spec->candidate_count; i++)
        ck_assert_uint_gt(strlen(spec->candidates[i]), 0);
    uploads.rep = rep;
    uploads.room = sizeof rep->got;
    note("upload:%zu", spec->candidate_count);
    return rep;
}

size_t replicate_data(struct replicate *rep, const void *data, size_t len)
{
    ck_assert(!rep->ended);
    size_t taken = len < uploads.room ? len : uploads.room;
    ck_assert_uint_le(rep->len + taken, sizeof rep->got);
    if (taken)
        memcpy(rep->got + rep->len, data, taken);
    rep->len += taken;
    uploads.room -= taken;
    return taken;
}

void replicate_end(struct replicate *rep)
{
    ck_assert(!rep->ended);
    rep->ended = true;
    note("upload-end");
}

void replicate_free(struct replicate *rep)
{
    if (!rep)
        return;
    ck_assert_ptr_eq(rep, uploads.rep);
    uploads.rep = NULL;
    free(rep);
}

enum replica_end replicate_result(const struct replicate *rep, size_t i)
{
    ck_assert_uint_lt(i, strlen(rep->results));
    if (rep->results[i] == 'S')
        return REPLICA_STORED;
    return rep->results[i] == 'F' ? REPLICA_FAILED : REPLICA_UNUSED;
}

uint64_t replicate_length(const struct replicate *rep)
{
    return rep->len;
}

const char *replicate_md5(const struct replicate *rep)
{
    return rep->spec.digest ? FAKE_MD5 : "";
}

/* It is over. */
static inline void upload_ends(enum status st, const char *results)
{
    ck_assert_ptr_nonnull(uploads.rep);
    ck_assert_uint_eq(strlen(results), uploads.rep->spec.candidate_count);
    uploads.rep->results = results;
    uploads.rep->spec.done(uploads.rep->spec.arg, st);
}

/* The window has room again. */
static inline void upload_has_room(size_t room)
{
    uploads.room = room;
    uploads.rep->spec.room(uploads.rep->spec.arg);
}

#endif
