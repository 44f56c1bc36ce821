/* Questions about the copies of several keys at once: the test answers them one by one. */
#ifndef LARDER_TESTS_FLOW_FAKE_HEADS_H
#define LARDER_TESTS_FLOW_FAKE_HEADS_H

#include "master/ask.h"
#include "tests/flow/fake_base.h"

#define MD5 "0123456789abcdef0123456789abcdef" /* of all values */

enum { QUESTIONS_MAX = 16 };

struct question {
    size_t items;
    void (*answered)(void *arg, const struct ask_answer *answers, size_t count);
    void *arg;
};

static struct {
    struct question list[QUESTIONS_MAX];
    unsigned count, asked;
} asks;

enum status ask_start(struct worker *worker UNUSED, const char *request UNUSED, const char *method,
                      const struct key *key UNUSED, const struct ask_item *items, size_t count,
                      unsigned timeout_ms UNUSED,
                      void (*answered)(void *arg, const struct ask_answer *answers, size_t count),
                      void *arg)
{
    ck_assert_str_eq(method, "HEAD");
    ck_assert_uint_lt(asks.count, QUESTIONS_MAX);
    if (memory_is_short())
        return ST_NO_MEMORY;
    if (asks.asked++ == 0) /* the first says where */
        for (size_t i = 0; i < count; i++)
            note("%s", items[i].place);
    asks.list[asks.count++] = (struct question){count, answered, arg};
    return ST_OK;
}

/* The first copy is like this, the others are well. */
static inline void copies_are(struct ask_answer first)
{
    struct ask_answer answers[3] = {first, {.http = 200, .md5 = MD5}, {.http = 200, .md5 = MD5}};
    ck_assert_uint_gt(asks.count, 0);
    struct question question = asks.list[--asks.count];
    question.answered(question.arg, answers, question.items);
}

static const struct ask_answer well = {.http = 200, .md5 = MD5};
static const struct ask_answer missing = {.http = 404};

#endif
