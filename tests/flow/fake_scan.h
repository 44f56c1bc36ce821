/* An index of many keys that can only be read: "/k00000" …, every third of them unlinked. */
#ifndef LARDER_TESTS_FLOW_FAKE_SCAN_H
#define LARDER_TESTS_FLOW_FAKE_SCAN_H

#include "common/buf.h"
#include "common/record.h"
#include "master/index.h"
#include "tests/flow/fake_base.h"

static struct {
    unsigned count;          /* keys */
    unsigned name_len;       /* they are padded with 'x' to this length */
    enum status scan_fails;  /* at the key fail_at */
    unsigned fail_at;        /* counted over all scans */
    unsigned seen;           /* keys handed out so far */
    enum status read_fails;  /* of index_get_all() */
    bool in_scan;            /* index_get_all() must not be called now: it would lock twice */
    unsigned gone;           /* this key is there for scans only */
    struct buf prefix_asked; /* of the last scan */
} fake_scan;

static inline size_t key_name(unsigned i, char name[KEY_MAX + 1])
{
    int len = snprintf(name, KEY_MAX, "/k%05u", i);
    memset(name + len, 'x', KEY_MAX - (size_t)len);
    size_t full = fake_scan.name_len > (unsigned)len ? fake_scan.name_len : (size_t)len;
    name[full] = 0;
    return full;
}

static inline void fill_record(struct record *rec, unsigned i)
{
    record_init(rec);
    rec->state = i % 3 == 2 ? KEY_UNLINKED : KEY_LIVE;
    rec->generation = i;
}

enum status index_scan(struct index *index UNUSED, const struct buf *prefix,
                       const struct buf *start,
                       bool (*fn)(void *arg, const char *key, size_t len, const struct record *rec),
                       void *arg)
{
    char from[KEY_MAX + 1];
    char name[KEY_MAX + 1];
    (void)snprintf(from, sizeof from, "%s", buf_text(start));
    buf_clear(&fake_scan.prefix_asked);
    buf_add(&fake_scan.prefix_asked, buf_text(prefix), prefix->len);
    fake_scan.in_scan = true;
    bool more = true;
    for (unsigned i = 0; i < fake_scan.count && more; i++) {
        size_t len = key_name(i, name);
        if (strcmp(name, from) < 0 || strncmp(name, buf_text(prefix), prefix->len) != 0)
            continue;
        if (fake_scan.scan_fails && ++fake_scan.seen > fake_scan.fail_at)
            break;
        struct record rec;
        fill_record(&rec, i);
        more = fn(arg, name, len, &rec);
    }
    fake_scan.in_scan = false;
    return fake_scan.scan_fails && fake_scan.seen > fake_scan.fail_at ? fake_scan.scan_fails
                                                                      : ST_OK;
}

static struct {
    bool (*fn)(void *arg, const char *key, size_t len, enum key_state state);
    void *arg;
} state_scan;

static inline bool scan_state(void *arg UNUSED, const char *key, size_t len,
                              const struct record *rec)
{
    return state_scan.fn(state_scan.arg, key, len, rec->state);
}

enum status
index_scan_states(struct index *index, const struct buf *prefix, const struct buf *start,
                  bool (*fn)(void *arg, const char *key, size_t len, enum key_state state),
                  void *arg)
{
    state_scan.fn = fn;
    state_scan.arg = arg;
    return index_scan(index, prefix, start, scan_state, NULL);
}

/* What the work of those is that have some; nothing said: garbage that is due. */
static struct {
    uint64_t due;
    bool suspect;
    unsigned hot; /* the number of a key that has a hundred old copies; 0: none */
} scan_work;

/* Every fourth has work. */
enum status index_scan_work(struct index *index UNUSED, const struct buf *start,
                            bool (*fn)(void *arg, const char *key, size_t len,
                                       const struct record *rec),
                            void *arg)
{
    char name[KEY_MAX + 1];
    bool more = true;
    struct record rec;
    record_init(&rec);
    struct copy garbage[100] = {{.due = scan_work.due}};
    rec.suspect = scan_work.suspect;
    rec.garbage.list = garbage;
    fake_scan.in_scan = true;
    for (unsigned i = 0; i < fake_scan.count && more; i += 4) {
        size_t len = key_name(i, name);
        rec.garbage.count = scan_work.hot && i == scan_work.hot ? 100 : !rec.suspect;
        if (strcmp(name, buf_text(start)) >= 0)
            more = fn(arg, name, len, &rec);
    }
    fake_scan.in_scan = false;
    return ST_OK;
}

enum status index_get_all(struct index *index UNUSED, const struct key *key, struct record *rec)
{
    ck_assert(!fake_scan.in_scan);
    unsigned i = (unsigned)strtoul(key->bytes + 2, NULL, 10);
    record_init(rec);
    if (fake_scan.read_fails)
        return fake_scan.read_fails;
    if (i < fake_scan.count && i != fake_scan.gone)
        fill_record(rec, i);
    return ST_OK;
}

static inline void scan_is(unsigned count)
{
    buf_free(&fake_scan.prefix_asked);
    memset(&fake_scan, 0, sizeof fake_scan);
    memset(&scan_work, 0, sizeof scan_work);
    fake_scan.count = count;
    fake_scan.gone = count;
}

#endif
