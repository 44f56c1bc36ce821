/*
 * At the start: an index that fits into what may be kept of it is read once, from its first key to
 * its last, beside the readers, so that they need not ask LevelDB for each key a first time. That
 * takes one or two seconds of a processor for a million keys. Of a larger one only those that are
 * asked for are kept.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/thread.h"
#include "master/index_state.h"

/* So many keys are read in one go; in between the database may be opened anew. A millisecond. */
enum { PAGE = 1000 };

/* Keys are compressed better on the disk, and take about twice as much in memory. */
enum { GROWTH = 2 };

struct page {
    struct index *index;
    struct buf next; /* the key that it begins with */
    struct buf value;
    struct recall_moment *moment; /* before it was read */
    unsigned keys;
    bool full;
};

/* What cannot be read here is left to who asks for it, and will be told. */
static void learn(struct page *page, const char *key, size_t key_len, const char *value, size_t len)
{
    struct key name;
    struct record_view view;
    buf_clear(&page->value);
    buf_add(&page->value, value, len);
    buf_addc(&page->value, 0);
    if (!buf_ok(&page->value) || key_from_bytes(&name, key, key_len) ||
        record_look(&view, page->value.data, len))
        return;
    struct index *index = page->index;
    uint64_t stamp = index->stamp(index->stamp_arg, &name, &view);
    page->full = !recall_learn(index->recall, &name, &view, stamp, page->moment);
}

/* False: there is no more. With db_lock held. */
static bool read_keys(struct page *page, struct ldb_iter *iter)
{
    ldb_iter_seek(iter, page->next.data, page->next.len);
    for (unsigned n = 0; ldb_iter_valid(iter); n++, ldb_iter_next(iter)) {
        size_t key_len;
        size_t len;
        const char *key = ldb_iter_key(iter, &key_len);
        if (*key != '/' || page->full)
            return false;
        if (n == PAGE) {
            buf_clear(&page->next);
            buf_add(&page->next, key, key_len);
            return buf_ok(&page->next);
        }
        const char *value = ldb_iter_value(iter, &len);
        learn(page, key, key_len, value, len);
        page->keys++;
    }
    return false;
}

/* The moment is that of before the iterator: what changes in between is refused. */
static bool read_page(struct page *page)
{
    struct index *index = page->index;
    bool more = false;
    page->moment = recall_now(index->recall);
    (void)pthread_rwlock_rdlock(&index->db_lock);
    struct ldb_iter *iter = index->db && page->moment ? ldb_iter_new(index->db) : NULL;
    if (iter)
        more = read_keys(page, iter);
    ldb_iter_free(iter);
    (void)pthread_rwlock_unlock(&index->db_lock);
    free(page->moment);
    return more;
}

static void *warm(void *arg)
{
    struct index *index = arg;
    struct page page = {.index = index, .next = BUF_INIT, .value = BUF_INIT};
    uint64_t began = loop_now_ms();
    buf_addc(&page.next, '/');
    if (buf_ok(&page.next))
        while (!atomic_load(&index->stop_warming) && read_page(&page))
            continue;
    log_event(LOG_DEBUG, "index", "event=warmed keys=%u full=%d milliseconds=%llu", page.keys,
              page.full, (unsigned long long)(loop_now_ms() - began));
    buf_free(&page.next);
    buf_free(&page.value);
    return NULL;
}

/* Where no thread is to be had readers are slower at first, and nothing else. */
void index_warm(struct index *index,
                uint64_t (*stamp)(void *arg, const struct key *key, const struct record_view *view),
                void *arg)
{
    if (!index->recall)
        return;
    /* Of several masters one may be getting another database just now. */
    (void)pthread_rwlock_rdlock(&index->db_lock);
    uint64_t size = index->db ? ldb_size(index->db, "/", "0") : 0; /* '0' is behind '/' */
    (void)pthread_rwlock_unlock(&index->db_lock);
    if (size > index->options.recall_bytes / GROWTH)
        return;
    index->stamp = stamp;
    index->stamp_arg = arg;
    index->is_warming = thread_start(&index->warmer, warm, index);
}

void index_warm_stop(struct index *index)
{
    atomic_store(&index->stop_warming, true);
    if (index->is_warming)
        (void)pthread_join(index->warmer, NULL);
    index->is_warming = false;
}
