/* Whether an answer is what it should be: the bytes of a value as they arrive, its length and MD5,
 * the order of a list. */
#ifndef LARDER_TOOLS_BENCHCHECK_H
#define LARDER_TOOLS_BENCHCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "tools/larder/benchplan.h"
#include "tools/larder/benchtally.h"

struct http_answer;
struct benchvalue;
struct benchvalues;

struct benchcheck {
    const struct benchplan *plan;
    const struct benchvalues *values;
    const struct http_answer *answer;
    const struct benchvalue *value; /* which it should be */
    uint64_t size;                  /* of it */
    bool deep;                      /* MD5s and lists, too */
    bool wrong;
    uint64_t wrong_at; /* the piece of the body where it was first seen */
    struct buf list;   /* a list, as far as it has come */
};

/* All three stay where they are. */
void benchcheck_init(struct benchcheck *check, const struct benchplan *plan,
                     const struct benchvalues *values, const struct http_answer *answer);
void benchcheck_free(struct benchcheck *check);

/* A request was sent, number `number` of all. */
void benchcheck_begin(struct benchcheck *check, const struct benchvalue *value, uint64_t size,
                      uint64_t number);

/* The head of the answer is there: true where its body is to be given to benchcheck_take(), false
 * where nobody looks at it. */
bool benchcheck_wants(const struct benchcheck *check) MUST_CHECK;

/* Bytes of the body; the take() of a http_answer_sink. */
void benchcheck_take(void *arg, uint64_t offset, const char *data, size_t len);

/* A whole answer to a request for `op`. False where it is wrong, or has another status than it
 * should: *fault is what it is, and `why` (BENCHTALLY_EXAMPLE bytes) says it to people. */
bool benchcheck_end(const struct benchcheck *check, enum benchplan_op op,
                    enum benchtally_fault *fault, char *why) MUST_CHECK;

/* Whether the status is that of a redirect to where the value is. */
bool benchcheck_is_redirect(int status) MUST_CHECK;

#endif
