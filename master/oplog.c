#include "master/oplog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/buf.h"
#include "common/etcd_answer.h"
#include "common/log.h"
#include "common/loop.h"
#include "master/etcd.h"

enum {
    TRY_MS = 1500,   /* for one try of an append */
    REFUSED_MAX = 50 /* tries: a second, by the pauses between them */
};

/* --- keys --- */

static bool make_key(char key[OPLOG_KEY_MAX], const char *prefix, const char *name)
{
    int len = snprintf(key, OPLOG_KEY_MAX, "%s/%s", prefix, name);
    return len > 0 && len < OPLOG_KEY_MAX;
}

bool oplog_keys_init(struct oplog_keys *keys, const char *prefix)
{
    /* '0' is the character behind '/'. */
    return strlen(prefix) <= OPLOG_PREFIX_MAX && make_key(keys->store, prefix, "store") &&
           make_key(keys->head, prefix, "head") && make_key(keys->writer, prefix, "writer") &&
           make_key(keys->log, prefix, "log/") && make_key(keys->log_end, prefix, "log0") &&
           make_key(keys->members, prefix, "members/") &&
           make_key(keys->members_end, prefix, "members0") &&
           make_key(keys->positions, prefix, "positions/") &&
           make_key(keys->positions_end, prefix, "positions0");
}

/* Twenty digits take every 64-bit number, so the order of keys is the order of sequences. */
void oplog_entry_key(const struct oplog_keys *keys, uint64_t first, char key[OPLOG_KEY_MAX])
{
    (void)snprintf(key, OPLOG_KEY_MAX, "%.220s%020" PRIu64, keys->log, first);
}

/* --- the head --- */

/* Strict: a head that is not a number means that somebody else writes below our prefix. */
bool oplog_parse_head(const struct oplog_keys *keys, const struct etcd_answer *answer,
                      uint64_t *head)
{
    const struct etcd_kv *kv = etcd_answer_find(answer, keys->head);
    char *end;
    if (!kv || !kv->value_len)
        return false;
    *head = strtoull(kv->value, &end, 10);
    return end == kv->value + kv->value_len;
}

enum status oplog_head(const struct oplog_keys *keys, struct etcd *etcd, uint64_t deadline_ms,
                       uint64_t *head)
{
    const struct etcd_range range = {.key = keys->head};
    struct etcd_answer answer;
    enum status st = etcd_range(etcd, &range, deadline_ms, &answer);
    if (!st && !oplog_parse_head(keys, &answer, head)) {
        log_event(LOG_ERROR, "oplog", "key=%s event=no-head advice=\"was etcd emptied?\"",
                  keys->head);
        st = ST_CORRUPT;
    }
    etcd_answer_free(&answer);
    return st;
}

/* Two plain ranges, the second at the revision of the first, and not a transaction, which etcd
 * above its quota refuses even where it only reads. */
enum status oplog_look(const struct oplog_keys *keys, struct etcd *etcd, uint64_t deadline_ms,
                       struct etcd_answer *writer, uint64_t *head)
{
    const struct etcd_range first = {.key = keys->writer};
    enum status st = etcd_range(etcd, &first, deadline_ms, writer);
    if (st)
        return st;
    const struct etcd_range second = {.key = keys->head, .revision = writer->revision};
    struct etcd_answer answer;
    st = etcd_range(etcd, &second, deadline_ms, &answer);
    if (st == ST_PEER) /* the first was answered: it is about the revision */
        st = ST_CONFLICT;
    if (!st && !oplog_parse_head(keys, &answer, head))
        st = ST_NOT_FOUND;
    etcd_answer_free(&answer);
    return st;
}

/* --- appending --- */

/* What is sent again and again, unchanged. */
struct append {
    const struct oplog_keys *keys;
    const struct oplog_claim *claim;
    const struct entry *entry;
    struct buf bytes;
    char key[OPLOG_KEY_MAX];
    char before[24], after[24]; /* the head */
};

/* The token is new for each append, also of the same changes: so what is found at our place
 * later is known to be ours or not. */
static enum status prepare(struct append *append, struct entry *entry)
{
    if (getrandom(entry->token, ENTRY_TOKEN, 0) != ENTRY_TOKEN)
        return ST_INTERNAL;
    entry->term = (uint64_t)append->claim->term;
    append->entry = entry;
    oplog_entry_key(append->keys, entry->first, append->key);
    (void)snprintf(append->before, sizeof append->before, "%" PRIu64, entry->first - 1);
    (void)snprintf(append->after, sizeof append->after, "%" PRIu64, entry_last(entry));
    return entry_encode(&append->bytes, entry);
}

/* A compare was false, for good. Whether that is because an earlier try of ours has succeeded. */
static enum status judge(const struct append *append, const struct etcd_answer *answer)
{
    const struct etcd_kv *kv = etcd_answer_find(answer, append->key);
    struct entry there;
    bool ours = kv && !entry_decode(&there, kv->value, kv->value_len) &&
                memcmp(there.token, append->entry->token, ENTRY_TOKEN) == 0;
    return ours ? ST_OK : ST_NOT_WRITER;
}

/* At its quota etcd may refuse a transaction that it has made all the same: it looks at the quota
 * once before it orders a change, and once after it has applied it, and says 'no space' each time.
 * With its answer here the change is settled, so what is there tells. */
static enum status look_after_no_space(const struct append *append, struct etcd *etcd)
{
    const struct etcd_range range = {.key = append->key, .limit = 1};
    struct etcd_answer answer;
    enum status st = etcd_range(etcd, &range, loop_now_ms() + TRY_MS, &answer);
    if (st)
        st = ST_UNKNOWN;
    else
        st = judge(append, &answer) == ST_OK ? ST_OK : ST_NO_SPACE;
    etcd_answer_free(&answer);
    return st;
}

/* One try. All of what is compared was true when the term began, and only we make it untrue, or
 * it is untrue for ever. */
static enum status try_append(const struct append *append, struct etcd *etcd)
{
    const struct oplog_keys *keys = append->keys;
    const struct etcd_compare compares[] = {
        {ETCD_VALUE, keys->head, append->before, 0},
        {ETCD_CREATED, keys->writer, NULL, append->claim->term},
        {ETCD_LEASE, keys->writer, NULL, append->claim->lease},
    };
    const struct etcd_op success[] = {
        {.action = ETCD_PUT,
         .key = append->key,
         .value = append->bytes.data,
         .value_len = append->bytes.len},
        {.action = ETCD_PUT,
         .key = keys->head,
         .value = append->after,
         .value_len = strlen(append->after)},
    };
    /* What is at our place, read in the same transaction: no other can come between the compare
     * and this. */
    const struct etcd_op failure[] = {{.action = ETCD_GET, .key = append->key}};
    const struct etcd_txn txn = {compares, 3, success, 2, failure, 1};
    struct etcd_answer answer;
    enum status st = etcd_txn(etcd, &txn, loop_now_ms() + TRY_MS, &answer);
    if (!st && !answer.succeeded)
        st = judge(append, &answer);
    if (st == ST_NO_SPACE)
        st = look_after_no_space(append, etcd);
    if (st && st != ST_NOT_WRITER)
        log_event(LOG_WARN, "oplog", "first=%" PRIu64 " count=%u event=append-%s error=\"%s\"",
                  append->entry->first, append->entry->count,
                  st == ST_UNKNOWN ? "unanswered" : "refused",
                  answer.message[0] ? answer.message : status_text(st));
    etcd_answer_free(&answer);
    return st;
}

enum status oplog_append(const struct oplog_keys *keys, struct etcd *etcd,
                         const struct oplog_claim *claim, struct entry *entry)
{
    struct append append = {.keys = keys, .claim = claim, .bytes = BUF_INIT};
    enum status st = prepare(&append, entry);
    bool doubtful = false; /* a try may have been successful, or may be yet */
    unsigned refused = 0;  /* tries after that, for want of space */
    if (st)
        goto end;
    for (;;) {
        /* Also before the first try: a queue may have waited here for long. */
        if (!claim->holds(claim->arg)) {
            st = doubtful ? ST_UNKNOWN : ST_NOT_WRITER;
            break;
        }
        st = try_append(&append, etcd);
        /* With a try in doubt, no other answer settles what becomes of that one. */
        if (st == ST_OK || st == ST_NOT_WRITER)
            break;
        doubtful = doubtful || st == ST_UNKNOWN;
        if (doubtful && st == ST_NO_SPACE && ++refused == REFUSED_MAX) {
            st = ST_UNKNOWN; /* or everybody would wait until there is room */
            break;
        }
        if (st != ST_UNAVAILABLE && !doubtful)
            break;
        claim->pause(claim->arg);
    }
end:
    buf_free(&append.bytes);
    return st;
}

/* --- fetching --- */

/* Entries never change once they are there, so an etcd that is behind has fewer of them, and
 * none that is wrong. */
enum status oplog_fetch(const struct oplog_keys *keys, struct etcd *etcd, uint64_t from,
                        unsigned limit, bool local, uint64_t deadline_ms,
                        enum status (*fn)(void *arg, const struct entry *entry, size_t size),
                        void *arg, size_t *count)
{
    char key[OPLOG_KEY_MAX];
    oplog_entry_key(keys, from, key);
    const struct etcd_range range = {
        .key = key, .end = keys->log_end, .limit = limit, .local = local};
    struct etcd_answer answer;
    enum status st = etcd_range(etcd, &range, deadline_ms, &answer);
    *count = st ? 0 : answer.count;
    for (size_t i = 0; i < answer.count && !st; i++) {
        struct entry entry;
        st = entry_decode(&entry, answer.kvs[i].value, answer.kvs[i].value_len);
        if (st)
            log_event(LOG_ERROR, "oplog", "key=%s event=damaged-entry error=\"%s\"",
                      answer.kvs[i].key, status_text(st));
        else
            st = fn(arg, &entry, answer.kvs[i].value_len);
    }
    etcd_answer_free(&answer);
    return st;
}
