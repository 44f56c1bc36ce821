/*
 * At the start the index is read once, from its first key to its last, beside the readers.
 *
 * All keys go into the roster, so that LevelDB need not be asked for those that are not there. Keys
 * that are put meanwhile are added by who puts them: what a page's iterator does not show was put
 * later than that, when the roster was there already. So with the last page it is complete, unless
 * something could not be read.
 *
 * Where all records fit into what may be kept of them they are learnt, so that LevelDB need not be
 * asked for each key a first time. Of a larger index only those that are asked for are kept.
 *
 * A million keys with their records take a second or two of a processor, keys alone a third of
 * that.
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

enum end { MORE, ALL_READ, GIVEN_UP };

struct page {
    struct index *index;
    struct buf next; /* the key that it begins with */
    struct buf value;
    struct recall_moment *moment; /* before it was read */
    unsigned keys;
    bool learns;   /* records; false from the first on for which there is no room */
    bool doubtful; /* something could not be read: it may have hidden keys */
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
    page->learns = recall_learn(index->recall, &name, &view, stamp, page->moment);
}

/* Of one key what it is read for. */
static void take(struct page *page, const char *key, size_t key_len, struct ldb_iter *iter)
{
    if (page->index->roster)
        roster_add(page->index->roster, key, key_len);
    if (page->learns) {
        size_t len;
        const char *value = ldb_iter_value(iter, &len);
        learn(page, key, key_len, value, len);
    }
    page->keys++;
}

/* With db_lock held. */
static enum end read_keys(struct page *page, struct ldb_iter *iter)
{
    ldb_iter_seek(iter, page->next.data, page->next.len);
    for (unsigned n = 0; ldb_iter_valid(iter); n++, ldb_iter_next(iter)) {
        size_t key_len;
        const char *key = ldb_iter_key(iter, &key_len);
        if (*key != '/')
            return ALL_READ;
        if (!page->learns && !page->index->roster)
            return GIVEN_UP;
        if (n == PAGE) {
            buf_clear(&page->next);
            buf_add(&page->next, key, key_len);
            return buf_ok(&page->next) ? MORE : GIVEN_UP;
        }
        take(page, key, key_len, iter);
    }
    return ALL_READ;
}

/* The moment is that of before the iterator: what changes in between is refused. Without a moment
 * no record can be learnt. */
static enum end read_page(struct page *page)
{
    struct index *index = page->index;
    enum end end = GIVEN_UP;
    page->moment = page->learns ? recall_now(index->recall) : NULL;
    page->learns = page->moment != NULL;
    (void)pthread_rwlock_rdlock(&index->db_lock);
    struct ldb_iter *iter = index->db ? ldb_iter_new(index->db) : NULL;
    if (iter) {
        end = read_keys(page, iter);
        /* LevelDB goes on behind a block that it cannot read, and says so here. */
        page->doubtful |= ldb_iter_status(iter) != ST_OK;
    }
    ldb_iter_free(iter);
    (void)pthread_rwlock_unlock(&index->db_lock);
    free(page->moment);
    return end;
}

static void *warm(void *arg)
{
    struct index *index = arg;
    struct page page = {
        .index = index, .next = BUF_INIT, .value = BUF_INIT, .learns = index->learns};
    uint64_t began = loop_now_ms();
    enum end end = MORE;
    buf_addc(&page.next, '/');
    if (!buf_ok(&page.next))
        end = GIVEN_UP;
    while (end == MORE && !atomic_load(&index->stop_warming))
        end = read_page(&page);
    bool all = end == ALL_READ && !page.doubtful;
    if (all && index->roster)
        roster_complete(index->roster);
    log_event(LOG_DEBUG, "index", "event=warmed keys=%u all=%d records=%d milliseconds=%llu",
              page.keys, all, page.learns, (unsigned long long)(loop_now_ms() - began));
    buf_free(&page.next);
    buf_free(&page.value);
    atomic_store(&index->is_reading, false);
    return NULL;
}

bool index_warming(struct index *index)
{
    return atomic_load(&index->is_reading);
}

/* Where no thread is to be had readers are slower at first, and nothing else. */
void index_warm(struct index *index,
                uint64_t (*stamp)(void *arg, const struct key *key, const struct record_view *view),
                void *arg)
{
    /* Of several masters one may be getting another database just now. */
    (void)pthread_rwlock_rdlock(&index->db_lock);
    uint64_t size = index->db ? ldb_size(index->db, "/", "0") : 0; /* '0' is behind '/' */
    (void)pthread_rwlock_unlock(&index->db_lock);
    index->learns = index->recall && size <= index->options.recall_bytes / GROWTH;
    if (!index->learns && !index->roster)
        return;
    index->stamp = stamp;
    index->stamp_arg = arg;
    atomic_store(&index->is_reading, true);
    index->is_warming = thread_start(&index->warmer, warm, index);
    if (!index->is_warming)
        atomic_store(&index->is_reading, false);
}

void index_warm_stop(struct index *index)
{
    atomic_store(&index->stop_warming, true);
    if (index->is_warming)
        (void)pthread_join(index->warmer, NULL);
    index->is_warming = false;
}
