/*
 * What is compared of an answer, and when. Bytes are compared as they arrive, since a value is not
 * kept; all that needs a whole answer (its length, its MD5, a list) is judged at the end.
 *
 * Cheap checks are always done, dear ones for one answer in SAMPLE: computing an MD5 takes as long
 * as serving the value, and a load that is held up by its own checking measures itself.
 *
 * One benchcheck a client, so one a connection in use; only its thread touches it.
 */
#include "tools/larder/benchcheck.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/http_answer.h"
#include "common/json.h"
#include "common/md5.h"
#include "tools/larder/benchplan.h"
#include "tools/larder/benchvalue.h"

enum {
    SAMPLE = 64,                      /* one answer in so many is looked at more closely */
    SAMPLE_MD5_MAX = 4 * 1024 * 1024, /* bytes: the MD5 of more would hold all clients up */
    LIST_MAX = 16 * 1024 * 1024       /* bytes of a page; a master ends one after 8 MiB */
};

void benchcheck_init(struct benchcheck *check, const struct benchplan *plan,
                     const struct benchvalues *values, const struct http_answer *answer)
{
    memset(check, 0, sizeof *check);
    check->plan = plan;
    check->values = values;
    check->answer = answer;
}

void benchcheck_free(struct benchcheck *check)
{
    buf_free(&check->list);
}

/* Which answers are looked at closely hangs on the number of the operation and not on chance, so
 * that a second run looks at the same ones. The list's buffer is kept from answer to answer: it has
 * the size of a page then. */
void benchcheck_begin(struct benchcheck *check, const struct benchvalue *value, uint64_t size,
                      uint64_t number)
{
    bool sampled = number % SAMPLE == 0 && size <= SAMPLE_MD5_MAX;
    check->value = value;
    check->size = size;
    check->deep = check->plan->check == BENCHPLAN_CHECK_ALL ||
                  (check->plan->check == BENCHPLAN_CHECK_SAMPLE && sampled);
    check->wrong = false;
    buf_clear(&check->list);
}

/* The body is the value, and to be compared. */
static bool is_value(const struct benchcheck *check)
{
    return check->answer->status == 200 && check->plan->op != BENCHPLAN_LIST &&
           check->plan->check != BENCHPLAN_CHECK_NONE;
}

/* The body is a page of keys, and to be parsed; only where this answer is one of the sample. */
static bool is_list(const struct benchcheck *check)
{
    return check->answer->status == 200 && check->plan->op == BENCHPLAN_LIST && check->deep;
}

bool benchcheck_wants(const struct benchcheck *check)
{
    return is_value(check) || is_list(check);
}

/* A page is kept whole, since JSON can only be read so; a server that does not stop is a fault. */
static void take_list(struct benchcheck *check, const char *data, size_t len)
{
    check->wrong = check->wrong || check->list.len + len > LIST_MAX;
    if (!check->wrong)
        buf_add(&check->list, data, len);
}

/* Only the first wrong piece is remembered: behind it all else is mostly wrong as well. */
void benchcheck_take(void *arg, uint64_t offset, const char *data, size_t len)
{
    struct benchcheck *check = arg;
    if (is_list(check))
        take_list(check, data, len);
    /* What is longer than it should be is told by its length. */
    if (!is_value(check) || check->wrong || offset >= check->size)
        return;
    if (len > check->size - offset)
        len = (size_t)(check->size - offset);
    if (!benchvalue_matches(check->values, check->value, offset, data, len)) {
        check->wrong = true;
        check->wrong_at = offset;
    }
}

/* Sorted, each beginning with the prefix, and no more than were asked for. */
static bool good_keys(const struct benchcheck *check, const struct json *keys)
{
    const char *prefix = check->plan->prefix;
    size_t count = json_count(keys);
    const char *before = "";
    bool good = keys && count <= check->plan->page;
    for (size_t i = 0; good && i < count; i++) {
        const char *key = json_text(json_item(keys, i));
        good = key && strncmp(key, prefix, strlen(prefix)) == 0 && strcmp(before, key) < 0;
        before = key;
    }
    return good;
}

/* NULL goes through all of json's functions as 'nothing there'. */
static bool end_list(const struct benchcheck *check)
{
    struct json *page = check->wrong || !buf_ok(&check->list)
                            ? NULL
                            : json_parse(buf_text(&check->list), check->list.len, NULL);
    bool good = json_text(json_member(page, "next")) && good_keys(check, json_member(page, "keys"));
    json_free(page);
    return good;
}

/* "": the answer has none. */
static const char *sent_md5(const struct benchcheck *check)
{
    const char *md5 = http_answer_field(check->answer, "Content-MD5");
    return md5 ? md5 : "";
}

/* Of the value, whatever the answer brought of it: the master tells it with a redirect. */
static bool md5_fits(const struct benchcheck *check)
{
    char sent[MD5_HEX + 1];
    char own[MD5_HEX + 1];
    if (!check->deep || !check->size || !*sent_md5(check))
        return true;
    if (benchvalue_md5(check->values, check->value, check->size, own))
        return true; /* no memory to compare with is no fault of the server */
    return md5_parse(sent_md5(check), sent) == 0 && strcmp(sent, own) == 0;
}

/* A HEAD tells it without a body. */
static bool length_fits(const struct benchcheck *check)
{
    const struct http_answer *answer = check->answer;
    if (!is_value(check))
        return true;
    if (answer->to_head)
        return !answer->length || answer->length == check->size;
    return answer->got == check->size;
}

bool benchcheck_is_redirect(int status)
{
    return status == 301 || status == 302 || status == 307 || status == 308;
}

/* 200 and 204 for a PUT: a plain server's, or one that overwrites. */
static bool good_status(enum benchplan_op op, int status)
{
    switch (op) {
    case BENCHPLAN_PUT:
        return status == 201 || status == 204 || status == 200;
    case BENCHPLAN_DELETE:
        return status == 204 || status == 200;
    case BENCHPLAN_MISSING:
        return status == 404;
    case BENCHPLAN_GET:
    case BENCHPLAN_HEAD:
        return status == 200 || benchcheck_is_redirect(status);
    default:
        return status == 200;
    }
}

/* The first that is wrong is told: a value of the wrong length has wrong bytes as well, but that
 * would send the reader the wrong way. */
bool benchcheck_end(const struct benchcheck *check, enum benchplan_op op,
                    enum benchtally_fault *fault, char *why)
{
    const struct http_answer *answer = check->answer;
    if (!good_status(op, answer->status)) {
        *fault = BENCHTALLY_STATUS;
        (void)snprintf(why, BENCHTALLY_EXAMPLE, "answered %d", answer->status);
        return false;
    }
    if (op == BENCHPLAN_MISSING)
        return true; /* there is no value to compare with */
    if (!length_fits(check)) {
        *fault = BENCHTALLY_LENGTH;
        (void)snprintf(why, BENCHTALLY_EXAMPLE,
                       "%" PRIu64 " bytes came, and %" PRIu64 " should (were they written with the "
                       "same --size, --seed and --prefix?)",
                       answer->to_head ? answer->length : answer->got, check->size);
        return false;
    }
    if (is_value(check) && check->wrong) {
        *fault = BENCHTALLY_BYTES;
        (void)snprintf(why, BENCHTALLY_EXAMPLE,
                       "wrong bytes at offset %" PRIu64 " or soon after it (was it written with "
                       "the same --seed and --prefix?)",
                       check->wrong_at);
        return false;
    }
    if (!md5_fits(check)) {
        *fault = BENCHTALLY_MD5;
        (void)snprintf(why, BENCHTALLY_EXAMPLE, "Content-MD5: %.40s is not that of the value",
                       sent_md5(check));
        return false;
    }
    if (is_list(check) && !end_list(check)) {
        *fault = BENCHTALLY_LIST;
        (void)snprintf(why, BENCHTALLY_EXAMPLE, "the list is no JSON, or its keys are in disorder");
        return false;
    }
    return true;
}
