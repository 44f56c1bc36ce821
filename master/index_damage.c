/*
 * Records that are there and cannot be understood: no version of larder or minikeyvalue wrote them
 * so. LevelDB's checksums do not let a disk do that, so it was another program, or a fault of this
 * one. Whoever asks for such a key gets an error; a scan of what is to be done passes it over, or
 * one record would hide all behind it.
 *
 * Each is told to the log once, by its key: the janitor meets it several times a second.
 */
#include "common/buf.h"
#include "common/key.h"
#include "common/log.h"
#include "master/index_state.h"

/* FNV-1a. Two keys of one hash, one of which is not told then, do no harm. */
static uint64_t hash_of(const char *key, size_t len)
{
    uint64_t hash = 14695981039346656037ULL;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)key[i]) * 1099511628211ULL;
    return hash;
}

/* True the first time, as long as there is room to remember it. */
static bool is_news(struct index_damage *damage, uint64_t hash)
{
    bool news = true;
    (void)pthread_mutex_lock(&damage->lock);
    for (size_t i = 0; i < damage->count && news; i++)
        news = damage->told[i] != hash;
    news = news && damage->count < INDEX_DAMAGE_TOLD;
    if (news)
        damage->told[damage->count++] = hash;
    (void)pthread_mutex_unlock(&damage->lock);
    return news;
}

void index_note_damage(struct index *index, const char *key, size_t len)
{
    struct buf text = BUF_INIT;
    if (!is_news(&index->damage, hash_of(key, len)))
        return;
    key_encode(&text, key, len);
    log_event(
        LOG_ERROR, "index",
        "event=damaged-record key=\"%s\" error=\"no version of larder wrote it so\" "
        "advice=\"requests for it are answered 500, and its copies are not repaired: stop the "
        "master, and have 'larder rebuild' make the index anew from the volumes\"",
        buf_text(&text));
    buf_free(&text);
}

uint64_t index_damaged(struct index *index)
{
    (void)pthread_mutex_lock(&index->damage.lock);
    uint64_t count = index->damage.count;
    (void)pthread_mutex_unlock(&index->damage.lock);
    return count;
}
