#include "master/attach.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/etcd_answer.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "master/etcd.h"
#include "master/index.h"
#include "master/oplog.h"

enum { DEADLINE_MS = 3000, TRIES = 5 };

/* The first master publishes its index: what it holds now is the base of the log. ST_CONFLICT:
 * another was faster, or perhaps we were. */
static enum status publish(struct index *index, const struct oplog_keys *keys, struct etcd *etcd)
{
    char id[IDENTITY_SIZE + 1];
    char store[160];
    char head[24];
    bool blank = index_is_blank(index);
    /* Noted first: after a crash between the two it would look like one that went its own way. */
    enum status st = index_note_log(index);
    if (st)
        return st;
    index_id(index, id);
    (void)snprintf(head, sizeof head, "%" PRIu64, index_sequence(index));
    (void)snprintf(store, sizeof store, "{\"id\":\"%s\",\"base\":%s,\"born\":%" PRIu64 "%s}", id,
                   head, index_born_ms(index), blank ? ",\"blank\":true" : "");
    const struct etcd_compare compares[] = {{ETCD_CREATED, keys->store, NULL, 0},
                                            {ETCD_CREATED, keys->head, NULL, 0}};
    const struct etcd_op success[] = {
        {.action = ETCD_PUT, .key = keys->store, .value = store, .value_len = strlen(store)},
        {.action = ETCD_PUT, .key = keys->head, .value = head, .value_len = strlen(head)}};
    const struct etcd_txn txn = {compares, 2, success, 2, NULL, 0};
    struct etcd_answer answer;
    st = etcd_txn(etcd, &txn, loop_now_ms() + DEADLINE_MS, &answer);
    /* Who was it? The next look at PREFIX/store tells: with our own identity, we were. */
    if (st == ST_UNKNOWN || (!st && !answer.succeeded))
        st = ST_CONFLICT;
    else if (!st)
        log_event(LOG_INFO, "cluster", "event=store-published id=%s base=%s", id, head);
    etcd_answer_free(&answer);
    return st;
}

/* The one place that says no; the caller decides whether the process ends. */
static enum attach_end refuse(const char *why, const char *advice)
{
    log_event(LOG_ERROR, "cluster", "event=index-refused error=\"%s\" advice=\"%s\"", why, advice);
    return ATTACH_REFUSED;
}

/* A blank index and another store: they can be made the same. */
static enum attach_end join(struct index *index, const struct json *store)
{
    const char *id = json_text(json_member(store, "id"));
    int64_t born = json_int(json_member(store, "born"), 0);
    bool blank = json_bool(json_member(store, "blank"), false);
    bool adopted = blank && id && index_adopt(index, id, (uint64_t)born) == ST_OK;
    return adopted ? ATTACH_FOLLOWS : ATTACH_JOINS; /* all there ever was is in the log, or was */
}

/* From what is certain to what is doubtful: whose it is, whether it has followed without a
 * break, whether etcd has all that it has. */
static enum attach_end compare(struct index *index, const struct json *store, uint64_t head)
{
    const char *id = json_text(json_member(store, "id"));
    char ours[IDENTITY_SIZE + 1];
    index_id(index, ours);
    bool same = id && strcmp(id, ours) == 0;
    /* Nothing can be lost with an index that holds nothing. */
    if (!same && index_is_blank(index))
        return join(index, store);
    if (!same)
        return refuse("the index is of another store than the one in etcd",
                      "give the right --db, another --cluster-prefix, or an empty directory, which "
                      "is filled from another master");
    if (!index_follows_log(index))
        return refuse("the index was used without --cluster since it followed the log",
                      "move the directory away: an empty one is filled from another master");
    if (index_recorded(index) <= head)
        return ATTACH_FOLLOWS;
    attach_explain_set_back(index, head);
    return ATTACH_REFUSED;
}

void attach_explain_set_back(struct index *index, uint64_t head)
{
    uint64_t ours = index_sequence(index);
    if (ours < index_recorded(index))
        ours = index_recorded(index);
    log_event(LOG_ERROR, "cluster",
              "event=index-refused error=\"the index is ahead of the log in etcd\" index=%" PRIu64
              " log=%" PRIu64
              " advice=\"was etcd restored from an old backup? Keep this directory: it has changes "
              "that etcd has not. Stop all masters; start the one with the highest index= first, "
              "with another --cluster-prefix, which makes it the store again, then the others with "
              "empty directories\"",
              ours, head);
}

/* Once more after a conflict, which settles who the store is. */
enum status attach_index(struct index *index, const struct oplog_keys *keys, struct etcd *etcd,
                         enum attach_end *end, uint64_t *head)
{
    enum status st = ST_CONFLICT;
    for (unsigned i = 0; i < TRIES && st == ST_CONFLICT; i++) {
        const struct etcd_range range = {.key = keys->store};
        struct etcd_answer answer;
        st = etcd_range(etcd, &range, loop_now_ms() + DEADLINE_MS, &answer);
        const struct etcd_kv *store = etcd_answer_find(&answer, keys->store);
        if (!st && !store) {
            *head = index_sequence(index);
            *end = ATTACH_FOLLOWS;
            st = publish(index, keys, etcd);
        } else if (!st && !(st = oplog_head(keys, etcd, loop_now_ms() + DEADLINE_MS, head))) {
            struct json *json = json_parse(store->value, store->value_len, NULL);
            *end = compare(index, json, *head);
            json_free(json);
        }
        etcd_answer_free(&answer);
    }
    return st == ST_CONFLICT ? ST_UNAVAILABLE : st;
}
