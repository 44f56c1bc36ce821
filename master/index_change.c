/* Changes on their way to the index: operations as bytes (common/entry.h), before anything is known
 * of whether they will be made. */
#include <string.h>

#include "common/entry.h"
#include "master/index_state.h"

static void add_op(struct buf *ops, const char *prefix, const char *key, size_t key_len,
                   const struct buf *value)
{
    entry_add_op(ops, prefix, key, key_len, value ? buf_text(value) : NULL, value ? value->len : 0);
}

void index_change_begin(struct index_change *change, struct loop *loop,
                        void (*committed)(void *arg, enum status st), void *arg)
{
    buf_clear(&change->ops);
    change->lazy = false;
    change->loop = loop;
    change->committed = committed;
    change->arg = arg;
    change->term = 0;
    change->st = ST_OK;
}

void index_change_record(struct index_change *change, const struct key *key,
                         const struct record *rec)
{
    struct buf value = BUF_INIT;
    change->term = rec->term;
    bool there = record_encode(rec, key, &value);
    add_op(&change->ops, "", key->bytes, key->len, there ? &value : NULL);
    change->ops.failed |= !buf_ok(&value);
    buf_clear(&value);
    bool work = record_encode_work(rec, &value);
    add_op(&change->ops, INDEX_WORK, key->bytes, key->len, work ? &value : NULL);
    change->ops.failed |= !buf_ok(&value);
    buf_free(&value);
}

void index_change_volume(struct index_change *change, const char *name, const char *value)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, value);
    add_op(&change->ops, INDEX_VOLUME, name, strlen(name), &text);
    change->ops.failed |= !buf_ok(&text);
    buf_free(&text);
}

void index_change_event(struct index_change *change, enum changes_event event,
                        const struct key *key, uint64_t size, const char *md5)
{
    struct buf text = BUF_INIT;
    changes_encode(&text, event, size, md5);
    add_op(&change->ops, INDEX_EVENT, key ? key->bytes : "", key ? key->len : 0, &text);
    change->ops.failed |= !buf_ok(&text);
    buf_free(&text);
}

void index_change_restored(struct index_change *change, bool restored)
{
    struct buf text = BUF_INIT;
    buf_adds(&text, "{}");
    add_op(&change->ops, INDEX_RESTORED, "", 0, restored ? &text : NULL);
    change->ops.failed |= !buf_ok(&text);
    buf_free(&text);
}

void index_change_free(struct index_change *change)
{
    buf_free(&change->ops);
}
