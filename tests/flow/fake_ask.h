/* Questions to several volumes at once: the test looks at them in the trace, and answers. */
#ifndef LARDER_TESTS_FLOW_FAKE_ASK_H
#define LARDER_TESTS_FLOW_FAKE_ASK_H

#include "master/ask.h"
#include "tests/flow/fake_base.h"

enum { ASKED_MAX = 80 };

static struct {
    unsigned fail_at; /* the question that cannot be begun, from 1; 0: none */
    unsigned count;   /* questions so far */
    bool pending;
    size_t items;
    struct ask_value *value; /* of one of them, or NULL */
    void (*answered)(void *arg, const struct ask_answer *answers, size_t count);
    void *arg;
} questions;

/* In the trace: "ask:METHOD(place@generation,…)", a field of the request in brackets; '+' where the
 * value is to come with the answer. */
enum status ask_start(struct worker *worker UNUSED, const char *request UNUSED, const char *method,
                      const struct key *key UNUSED, const struct ask_item *items, size_t count,
                      unsigned timeout_ms,
                      void (*answered)(void *arg, const struct ask_answer *answers, size_t count),
                      void *arg)
{
    char text[2048];
    size_t len = 0;
    ck_assert_uint_le(count, ASKED_MAX);
    ck_assert_uint_gt(timeout_ms, 0);
    ck_assert(!questions.pending);
    if (++questions.count == questions.fail_at || memory_is_short())
        return ST_NO_MEMORY;
    text[0] = 0;
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s@%llu%s%s%s%s%s", i ? "," : "",
                                items[i].place, (unsigned long long)items[i].generation,
                                items[i].naming == NAMING_MKV ? "mkv" : "",
                                items[i].field ? "[" : "", items[i].field ? items[i].field : "",
                                items[i].field ? "]" : "", items[i].value ? "+" : "");
    note("ask:%s(%s)", method, text);
    questions.value = NULL;
    for (size_t i = 0; i < count; i++)
        if (items[i].value)
            questions.value = items[i].value;
    questions.pending = true;
    questions.items = count;
    questions.answered = answered;
    questions.arg = arg;
    return ST_OK;
}

/* The value that was asked for has come; the answers follow. */
static inline void volume_sends(const char *bytes, const char *type)
{
    ck_assert_ptr_nonnull(questions.value);
    buf_adds(&questions.value->bytes, bytes);
    buf_adds(&questions.value->type, type);
    questions.value->whole = buf_ok(&questions.value->bytes) && buf_ok(&questions.value->type);
}

/* Answers all items: "204 404 - 200=MD5": a status each, with a digest or without, '-' for
 * silence. */
static inline void volumes_answer(const char *said)
{
    struct ask_answer answers[ASKED_MAX];
    memset(answers, 0, sizeof answers);
    ck_assert(questions.pending);
    for (size_t i = 0; i < questions.items; i++) {
        char *end = NULL;
        ck_assert_msg(*said, "an answer is missing");
        answers[i].length = -1;
        if (*said == '-') {
            answers[i].st = ST_PEER_TIMEOUT;
            said++;
        } else {
            answers[i].http = (int)strtol(said, &end, 10);
            said = end;
        }
        if (*said == '=') {
            memcpy(answers[i].md5, said + 1, MD5_HEX);
            said += 1 + MD5_HEX;
        }
        said += *said == ' ';
    }
    ck_assert_msg(!*said, "answers are left over");
    questions.pending = false;
    questions.answered(questions.arg, answers, questions.items);
}

/* The same answer from all. */
static inline void volumes_all_answer(const char *word)
{
    char text[ASKED_MAX * 8] = "";
    for (size_t i = 0; i < questions.items; i++) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "", word);
    }
    volumes_answer(text);
}

#endif
