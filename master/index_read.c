/*
 * Reads and scans of the index: local, immediate, and blocking for the disk at most. All take
 * db_lock for reading, and the database may be away (NULL) while the committer fails to open it
 * anew: then they are ST_IO.
 *
 * A scan holds that lock from its first key to its last. The functions that it calls must not read
 * the index themselves: the lock prefers writers, and a second hold of it behind a waiting writer
 * would never come.
 *
 * A record that cannot be understood is an error for whoever asks for its key, never an absence. It
 * is noted wherever it is met (index_damage.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/md5.h"
#include "master/index_state.h"

static enum status get(struct index *index, const char *prefix, const struct key *key, bool once,
                       struct buf *out)
{
    char full[sizeof INDEX_WORK + KEY_MAX];
    size_t prefix_len = strlen(prefix);
    memcpy(mempcpy(full, prefix, prefix_len), key->bytes, key->len);
    (void)pthread_rwlock_rdlock(&index->db_lock);
    enum status st = ST_IO;
    if (index->db)
        st = (once ? ldb_get_once : ldb_get)(index->db, full, prefix_len + key->len, out);
    (void)pthread_rwlock_unlock(&index->db_lock);
    if (st && st != ST_NOT_FOUND)
        log_event(LOG_ERROR, "index", "event=read-failed status=\"%s\"", status_text(st));
    return st;
}

/* `st` is what became of the text of the key's record. */
static enum status judge(struct index *index, enum status st, const char *key, size_t len)
{
    if (st == ST_CORRUPT)
        index_note_damage(index, key, len);
    return st;
}

enum status index_get(struct index *index, const struct key *key, struct record *rec)
{
    struct buf value = BUF_INIT;
    record_init(rec);
    enum status st = get(index, "", key, false, &value);
    if (!st)
        st = judge(index, record_decode(rec, buf_text(&value), value.len, NULL, 0), key->bytes,
                   key->len);
    buf_free(&value);
    return st;
}

enum status index_look(struct index *index, const struct key *key, struct buf *text,
                       struct record_view *view, struct recall_ticket *ticket)
{
    struct recall *recall = index->recall;
    if (recall && recall_find(recall, key, view, ticket))
        return ST_OK;
    if (!recall)
        *ticket = (struct recall_ticket){.open = false};
    if (index->roster && roster_lacks(index->roster, key->bytes, key->len))
        return ST_NOT_FOUND;
    buf_clear(text);
    enum status st = get(index, "", key, recall != NULL, text);
    return st ? st : judge(index, record_look(view, text->data, text->len), key->bytes, key->len);
}

void index_expect(struct index *index, const char *key, size_t len, uint64_t *expected)
{
    if (!index->recall)
        return;
    if (*expected)
        recall_expect_more(index->recall, *expected);
    *expected = recall_expect(index->recall, key, len);
}

void index_keep(struct index *index, const struct key *key, const struct record_view *view,
                const struct recall_ticket *ticket)
{
    if (index->recall)
        recall_keep(index->recall, key, view, ticket);
}

void index_recalled(struct index *index, uint64_t *hits, uint64_t *misses, uint64_t *keys)
{
    *hits = *misses = *keys = 0;
    if (index->recall)
        recall_counters(index->recall, hits, misses, keys);
}

enum status index_get_all(struct index *index, const struct key *key, struct record *rec)
{
    struct buf value = BUF_INIT;
    struct buf work = BUF_INIT;
    record_init(rec);
    /* Before it is read: a term that begins meanwhile may rest on what another master changed. */
    uint64_t term = index_reading_term(index);
    enum status value_st = get(index, "", key, false, &value);
    enum status work_st = get(index, INDEX_WORK, key, false, &work);
    enum status st = ST_OK;
    if (value_st && value_st != ST_NOT_FOUND)
        st = value_st;
    else if (work_st && work_st != ST_NOT_FOUND)
        st = work_st;
    else
        st = judge(index,
                   record_decode(rec, value_st ? NULL : buf_text(&value), value.len,
                                 work_st ? NULL : buf_text(&work), work.len),
                   key->bytes, key->len);
    rec->term = term;
    buf_free(&value);
    buf_free(&work);
    return st;
}

/* --- scans --- */

/* Iterates over the keys behind `prefix` from `start` on; `fn` gets them whole. */
static enum status scan(struct index *index, const char *prefix, size_t prefix_len,
                        const char *start, size_t start_len,
                        bool (*fn)(void *arg, struct ldb_iter *iter), void *arg)
{
    enum status st = ST_NO_MEMORY;
    (void)pthread_rwlock_rdlock(&index->db_lock);
    struct ldb_iter *iter = index->db ? ldb_iter_new(index->db) : NULL;
    if (iter) {
        int order = memcmp(start, prefix, start_len < prefix_len ? start_len : prefix_len);
        bool later = order > 0 || (order == 0 && start_len > prefix_len);
        ldb_iter_seek(iter, later ? start : prefix, later ? start_len : prefix_len);
        bool more = true;
        while (more && ldb_iter_valid(iter)) {
            size_t len;
            const char *key = ldb_iter_key(iter, &len);
            if (len < prefix_len || memcmp(key, prefix, prefix_len) != 0)
                break;
            more = fn(arg, iter);
            if (more)
                ldb_iter_next(iter);
        }
        st = ldb_iter_status(iter);
        if (st)
            log_event(LOG_ERROR, "index", "event=scan-failed status=\"%s\"", status_text(st));
    }
    ldb_iter_free(iter);
    (void)pthread_rwlock_unlock(&index->db_lock);
    return st;
}

struct key_scan {
    struct index *index;
    bool (*fn)(void *arg, const char *key, size_t len, const struct record *rec);
    void *arg;
    enum status st;
    const char *text; /* only records with it are looked at; NULL: all are */
    size_t text_len;
};

static bool scan_key(void *arg, struct ldb_iter *iter)
{
    struct key_scan *to = arg;
    size_t key_len;
    size_t value_len;
    const char *key = ldb_iter_key(iter, &key_len);
    const char *value = ldb_iter_value(iter, &value_len);
    struct record rec;
    if (to->text && !memmem(value, value_len, to->text, to->text_len))
        return true;
    record_init(&rec);
    to->st = judge(to->index, record_decode(&rec, value, value_len, NULL, 0), key, key_len);
    if (to->st)
        return false;
    bool more = to->fn(to->arg, key, key_len, &rec);
    record_free(&rec);
    return more;
}

/* Without the '/', the range would hold what is not a key. */
static enum status scan_keys(struct index *index, const struct buf *prefix, const struct buf *start,
                             bool (*fn)(void *arg, struct ldb_iter *iter), void *arg)
{
    const char *from = prefix->len ? prefix->data : "/";
    return scan(index, from, prefix->len ? prefix->len : 1, buf_text(start), start->len, fn, arg);
}

enum status index_scan(struct index *index, const struct buf *prefix, const struct buf *start,
                       bool (*fn)(void *arg, const char *key, size_t len, const struct record *rec),
                       void *arg)
{
    struct key_scan to = {.index = index, .fn = fn, .arg = arg};
    enum status st = scan_keys(index, prefix, start, scan_key, &to);
    return st ? st : to.st;
}

enum status index_scan_naming(struct index *index, const char *text,
                              bool (*fn)(void *arg, const char *key, size_t len,
                                         const struct record *rec),
                              void *arg)
{
    struct buf all = BUF_INIT;
    struct key_scan to = {
        .index = index, .fn = fn, .arg = arg, .text = text, .text_len = strlen(text)};
    enum status st = scan_keys(index, &all, &all, scan_key, &to);
    return st ? st : to.st;
}

struct state_scan {
    struct index *index;
    bool (*fn)(void *arg, const char *key, size_t len, enum key_state state);
    void *arg;
    struct buf text; /* of a value: a look needs one that it may write to */
    enum status st;
};

static bool scan_state(void *arg, struct ldb_iter *iter)
{
    struct state_scan *to = arg;
    size_t key_len;
    size_t value_len;
    const char *key = ldb_iter_key(iter, &key_len);
    const char *value = ldb_iter_value(iter, &value_len);
    struct record_view view;
    buf_clear(&to->text);
    buf_add(&to->text, value, value_len);
    to->st = buf_ok(&to->text) ? record_look(&view, to->text.data, value_len) : ST_NO_MEMORY;
    (void)judge(to->index, to->st, key, key_len);
    return !to->st && to->fn(to->arg, key, key_len, view.state);
}

enum status
index_scan_states(struct index *index, const struct buf *prefix, const struct buf *start,
                  bool (*fn)(void *arg, const char *key, size_t len, enum key_state state),
                  void *arg)
{
    struct state_scan to = {index, fn, arg, BUF_INIT, ST_OK};
    enum status st = scan_keys(index, prefix, start, scan_state, &to);
    buf_free(&to.text);
    return st ? st : to.st;
}

/* One that cannot be understood is no reason to leave all behind it undone. */
static bool scan_work(void *arg, struct ldb_iter *iter)
{
    struct key_scan *to = arg;
    size_t key_len;
    size_t value_len;
    const char *key = ldb_iter_key(iter, &key_len);
    const char *value = ldb_iter_value(iter, &value_len);
    size_t skip = sizeof INDEX_WORK - 1;
    struct record rec;
    record_init(&rec);
    enum status st = judge(to->index, record_decode(&rec, NULL, 0, value, value_len), key + skip,
                           key_len - skip);
    if (st) {
        to->st = st;
        return st == ST_CORRUPT;
    }
    bool more = to->fn(to->arg, key + skip, key_len - skip, &rec);
    record_free(&rec);
    return more;
}

enum status index_scan_work(struct index *index, const struct buf *start,
                            bool (*fn)(void *arg, const char *key, size_t len,
                                       const struct record *rec),
                            void *arg)
{
    struct key_scan to = {.index = index, .fn = fn, .arg = arg};
    struct buf from = BUF_INIT;
    buf_adds(&from, INDEX_WORK);
    buf_add(&from, buf_text(start), start->len);
    enum status st = ST_NO_MEMORY;
    if (buf_ok(&from))
        st = scan(index, INDEX_WORK, sizeof INDEX_WORK - 1, from.data, from.len, scan_work, &to);
    buf_free(&from);
    return st ? st : to.st;
}

struct volume_scan {
    bool (*fn)(void *arg, const char *name, const char *value);
    void *arg;
};

static bool scan_volume(void *arg, struct ldb_iter *iter)
{
    const struct volume_scan *to = arg;
    size_t key_len;
    size_t value_len;
    const char *key = ldb_iter_key(iter, &key_len);
    const char *value = ldb_iter_value(iter, &value_len);
    size_t skip = sizeof INDEX_VOLUME - 1;
    char *name = strndup(key + skip, key_len - skip);
    char *text = strndup(value, value_len);
    bool more = name && text && to->fn(to->arg, name, text);
    free(name);
    free(text);
    return more;
}

enum status index_scan_volumes(struct index *index,
                               bool (*fn)(void *arg, const char *name, const char *value),
                               void *arg)
{
    struct volume_scan to = {fn, arg};
    return scan(index, INDEX_VOLUME, sizeof INDEX_VOLUME - 1, "", 0, scan_volume, &to);
}

/* --- what several masters compare --- */

static void digest_pair(struct md5 *md5, const struct ldb_iter *iter)
{
    size_t key_len;
    size_t value_len;
    const char *key = ldb_iter_key(iter, &key_len);
    const char *value = ldb_iter_value(iter, &value_len);
    char lengths[32]; /* so that nothing can move from one to the other */
    int len = snprintf(lengths, sizeof lengths, "%zu,%zu:", key_len, value_len);
    md5_update(md5, lengths, (size_t)len);
    md5_update(md5, key, key_len);
    md5_update(md5, value, value_len);
}

/* Goes through the state of one moment, from its first key to its last. */
static enum status digest_all(struct ldb_iter *iter, struct md5 *md5, uint64_t *sequence,
                              uint64_t *keys)
{
    for (ldb_iter_seek(iter, "", 0); ldb_iter_valid(iter); ldb_iter_next(iter)) {
        size_t len;
        size_t value_len;
        const char *key = ldb_iter_key(iter, &len);
        if (len == sizeof INDEX_SEQUENCE - 1 && memcmp(key, INDEX_SEQUENCE, len) == 0) {
            char text[24];
            const char *value = ldb_iter_value(iter, &value_len);
            (void)snprintf(text, sizeof text, "%.*s", (int)value_len, value);
            *sequence = strtoull(text, NULL, 10);
        }
        *keys += len && key[0] == '/';
        if (len < 2 || memcmp(key, "!m", 2) != 0)
            digest_pair(md5, iter);
    }
    return ldb_iter_status(iter);
}

enum status index_digest(struct index *index, uint64_t *sequence, uint64_t *keys,
                         char digest[MD5_HEX + 1])
{
    unsigned char bytes[MD5_SIZE];
    enum status st = ST_NO_MEMORY;
    *sequence = *keys = 0;
    struct md5 *md5 = md5_new();
    (void)pthread_rwlock_rdlock(&index->db_lock);
    struct ldb_iter *iter = index->db ? ldb_iter_new(index->db) : NULL;
    if (md5 && iter)
        st = digest_all(iter, md5, sequence, keys);
    ldb_iter_free(iter);
    (void)pthread_rwlock_unlock(&index->db_lock);
    if (!st)
        st = md5_finish(md5, bytes);
    if (!st)
        md5_hex(bytes, digest);
    md5_free(md5);
    return st;
}
