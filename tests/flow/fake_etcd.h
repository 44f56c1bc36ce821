/*
 * An etcd of one process: keys with revisions and leases, transactions, and at each request the
 * fault that the test wants. Requests whose answer was lost can take effect later.
 */
#ifndef LARDER_TESTS_FLOW_FAKE_ETCD_H
#define LARDER_TESTS_FLOW_FAKE_ETCD_H

#include "common/buf.h"
#include "master/etcd.h"
#include "master/oplog.h"
#include "tests/flow/fake_base.h"

enum fake_fault {
    FAULT_NONE,
    FAULT_AWAY,    /* nobody takes it */
    FAULT_LOST,    /* lost on the way there, and who asked cannot know */
    FAULT_DONE,    /* done, and the answer lost */
    FAULT_LATE,    /* the same, but it is done before the next request only */
    FAULT_FULL,    /* refused: no space */
    FAULT_FILLED,  /* done, and then said to be refused: no space */
    FAULT_USURPED, /* just before it another master has become the writer, and appended */
    FAULTS
};

struct etcd {
    char unused;
};

enum { FAKE_KEYS = 16, FAKE_STEPS = 8 };

struct fake_key {
    char key[OPLOG_KEY_MAX];
    char *value;
    size_t len;
    int64_t created, modified, lease;
    char *before; /* the value that it had before, for reads of an older revision; NULL: none */
    size_t before_len;
};

/* A transaction that is under way yet, when who sent it has given it up. */
struct fake_late {
    bool there;
    struct etcd_txn txn;
    struct etcd_compare compares[4];
    struct etcd_op success[4];
    char texts[8][OPLOG_KEY_MAX]; /* keys and values to compare */
    char values[4][2048];
};

static struct {
    struct fake_key keys[FAKE_KEYS];
    size_t count;
    int64_t revision;
    enum fake_fault script[FAKE_STEPS]; /* of the requests in turn; then none */
    unsigned requests;
    struct fake_late late;
    void (*usurp)(void);
} fake_etcd;

static inline struct fake_key *fake_key_find(const char *key)
{
    for (size_t i = 0; i < fake_etcd.count; i++)
        if (strcmp(fake_etcd.keys[i].key, key) == 0)
            return &fake_etcd.keys[i];
    return NULL;
}

static inline void fake_put(const char *key, const void *value, size_t len, int64_t lease)
{
    struct fake_key *at = fake_key_find(key);
    fake_etcd.revision++;
    if (!at) {
        ck_assert_uint_lt(fake_etcd.count, FAKE_KEYS);
        at = &fake_etcd.keys[fake_etcd.count++];
        memset(at, 0, sizeof *at);
        (void)snprintf(at->key, sizeof at->key, "%s", key);
        at->created = fake_etcd.revision;
    }
    free(at->before);
    at->before = at->value;
    at->before_len = at->len;
    at->value = __real_malloc(len + 1);
    memcpy(at->value, value, len);
    at->value[len] = 0;
    at->len = len;
    at->modified = fake_etcd.revision;
    at->lease = lease;
}

static inline void fake_etcd_clear(void)
{
    for (size_t i = 0; i < fake_etcd.count; i++) {
        free(fake_etcd.keys[i].value);
        free(fake_etcd.keys[i].before);
    }
    memset(&fake_etcd, 0, sizeof fake_etcd);
}

/* As it is, or was at an older revision, one change ago at most. */
static inline void fake_answer_key(struct etcd_answer *answer, const char *key, int64_t revision)
{
    const struct fake_key *at = fake_key_find(key);
    bool old = at && revision && at->modified > revision;
    if (!at || (old && !at->before))
        return;
    size_t len = old ? at->before_len : at->len;
    answer->kvs = realloc(answer->kvs, (answer->count + 1) * sizeof *answer->kvs);
    struct etcd_kv *kv = &answer->kvs[answer->count++];
    *kv = (struct etcd_kv){.key = strdup(at->key),
                           .key_len = strlen(at->key),
                           .value = malloc(len + 1),
                           .value_len = len,
                           .create_revision = at->created,
                           .mod_revision = at->modified,
                           .lease = at->lease};
    memcpy(kv->value, old ? at->before : at->value, len + 1);
}

static inline bool fake_compare(const struct etcd_compare *compare)
{
    const struct fake_key *at = fake_key_find(compare->key);
    if (compare->test == ETCD_CREATED)
        return compare->number == (at ? at->created : 0);
    if (compare->test == ETCD_LEASE)
        return at && compare->number == at->lease;
    return at && at->len == strlen(compare->value) &&
           memcmp(at->value, compare->value, at->len) == 0;
}

static inline void fake_do(const struct etcd_txn *txn, struct etcd_answer *answer)
{
    answer->succeeded = true;
    for (size_t i = 0; i < txn->compare_count; i++)
        answer->succeeded = answer->succeeded && fake_compare(&txn->compares[i]);
    const struct etcd_op *ops = answer->succeeded ? txn->success : txn->failure;
    size_t count = answer->succeeded ? txn->success_count : txn->failure_count;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].action == ETCD_PUT)
            fake_put(ops[i].key, ops[i].value, ops[i].value_len, ops[i].lease);
        else if (ops[i].action == ETCD_GET)
            fake_answer_key(answer, ops[i].key, 0);
    }
    answer->revision = fake_etcd.revision;
}

static inline const char *fake_keep(struct fake_late *late, size_t *count, const char *text)
{
    if (!text)
        return NULL;
    ck_assert_uint_lt(*count, 8);
    (void)snprintf(late->texts[*count], sizeof late->texts[0], "%s", text);
    return late->texts[(*count)++];
}

/* Copies what has an effect: the caller's is gone when it arrives. */
static inline void fake_delay(const struct etcd_txn *txn)
{
    struct fake_late *late = &fake_etcd.late;
    size_t count = 0;
    *late = (struct fake_late){.there = true, .txn = *txn};
    ck_assert(txn->compare_count <= 4 && txn->success_count <= 4);
    for (size_t i = 0; i < txn->compare_count; i++) {
        late->compares[i] = txn->compares[i];
        late->compares[i].key = fake_keep(late, &count, txn->compares[i].key);
        late->compares[i].value = fake_keep(late, &count, txn->compares[i].value);
    }
    for (size_t i = 0; i < txn->success_count; i++) {
        ck_assert_uint_le(txn->success[i].value_len, sizeof late->values[i]);
        late->success[i] = txn->success[i];
        late->success[i].key = fake_keep(late, &count, txn->success[i].key);
        memcpy(late->values[i], txn->success[i].value, txn->success[i].value_len);
        late->success[i].value = late->values[i];
    }
    late->txn.compares = late->compares;
    late->txn.success = late->success;
    late->txn.failure_count = 0;
}

/* What was lost on its way for a while arrives. */
static inline void fake_arrive(void)
{
    struct etcd_answer answer = {0};
    if (fake_etcd.late.there)
        fake_do(&fake_etcd.late.txn, &answer);
    fake_etcd.late.there = false;
    etcd_answer_free(&answer);
}

static inline enum fake_fault fake_next_fault(void)
{
    unsigned step = fake_etcd.requests++;
    return step < FAKE_STEPS ? fake_etcd.script[step] : FAULT_NONE;
}

enum status etcd_txn(struct etcd *etcd UNUSED, const struct etcd_txn *txn,
                     uint64_t deadline_ms UNUSED, struct etcd_answer *answer)
{
    struct etcd_answer lost = {0};
    memset(answer, 0, sizeof *answer);
    fake_arrive();
    switch (fake_next_fault()) {
    case FAULT_AWAY:
        return ST_UNAVAILABLE;
    case FAULT_FULL:
        return ST_NO_SPACE;
    case FAULT_FILLED:
        fake_do(txn, &lost);
        etcd_answer_free(&lost);
        return ST_NO_SPACE;
    case FAULT_LOST:
        return ST_UNKNOWN;
    case FAULT_LATE:
        fake_delay(txn);
        return ST_UNKNOWN;
    case FAULT_DONE:
        fake_do(txn, &lost);
        etcd_answer_free(&lost);
        return ST_UNKNOWN;
    case FAULT_USURPED:
        fake_etcd.usurp();
        break;
    default:
        break;
    }
    fake_do(txn, answer);
    return ST_OK;
}

enum status etcd_range(struct etcd *etcd UNUSED, const struct etcd_range *range,
                       uint64_t deadline_ms UNUSED, struct etcd_answer *answer)
{
    memset(answer, 0, sizeof *answer);
    fake_arrive();
    enum fake_fault fault = fake_next_fault();
    if (fault == FAULT_USURPED)
        fake_etcd.usurp();
    else if (fault != FAULT_NONE)
        return ST_UNAVAILABLE;
    for (size_t i = 0; i < fake_etcd.count; i++) {
        const char *key = fake_etcd.keys[i].key;
        if (range->end ? strcmp(key, range->key) >= 0 && strcmp(key, range->end) < 0
                       : strcmp(key, range->key) == 0)
            fake_answer_key(answer, key, range->revision);
    }
    answer->revision = fake_etcd.revision;
    return ST_OK;
}

#endif
