/*
 * What the operations of a change mean beside what they store: events for watchers, and whether the
 * index counts as restored. Both are staged while the batch is filled, and told when it is written;
 * whoever applies changes does both, in their order.
 */
#include <stdatomic.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "master/index_state.h"

static bool begins_with(const char *key, size_t len, const char *prefix)
{
    size_t prefix_len = strlen(prefix);
    return len >= prefix_len && memcmp(key, prefix, prefix_len) == 0;
}

bool index_tell_stage(struct index *index, const char *key, size_t key_len, const char *value,
                      size_t value_len)
{
    if (key_len == 0 || key[0] != '!')
        return false;
    if (begins_with(key, key_len, INDEX_RESTORED)) {
        /* A value that is there says of when the backup is: it is kept. */
        bool kept = index->restored_next && value;
        index->restored_next = value != NULL;
        return kept;
    }
    if (!begins_with(key, key_len, INDEX_EVENT))
        return false;
    size_t skip = sizeof INDEX_EVENT - 1;
    if (index->options.changes && value)
        changes_stage(index->options.changes, key + skip, key_len - skip, value, value_len);
    return true;
}

void index_tell_applied(struct index *index, enum status st, uint64_t sequence)
{
    struct changes *changes = index->options.changes;
    /* First: who is told of the change must not meet what was before it. */
    if (index->recall)
        recall_changed(index->recall);
    if (st)
        index->restored_next = atomic_load(&index->restored);
    else
        atomic_store(&index->restored, index->restored_next);
    if (!atomic_load(&index->restored))
        atomic_store(&index->restored_made_ms, 0);
    /* Opened anew, the database may show what a failed write has left in its log: changes of which
     * nobody was told. With the first numbers behind them everyone begins anew. */
    if (changes && (st || index->reopened))
        changes_lose(changes, sequence);
    else if (changes)
        changes_publish(changes, sequence);
    index->reopened = index->reopened && st;
}

void index_tell_loaded(struct index *index, const struct buf *text)
{
    struct json *json = json_parse(buf_text(text), text->len, NULL);
    int64_t made = json_int(json_member(json, "made"), 0);
    json_free(json);
    atomic_store(&index->restored_made_ms, made > 0 ? (uint64_t)made : 0);
    index->restored_next = true;
}

uint64_t index_restored_made_ms(const struct index *index)
{
    return atomic_load(&index->restored_made_ms);
}

bool index_restored(const struct index *index)
{
    return atomic_load(&index->restored);
}

void index_id(struct index *index, char id[IDENTITY_SIZE + 1])
{
    (void)pthread_mutex_lock(&index->lock);
    memcpy(id, index->id, IDENTITY_SIZE + 1);
    (void)pthread_mutex_unlock(&index->lock);
}

uint64_t index_born_ms(const struct index *index)
{
    return atomic_load(&index->born_ms);
}
