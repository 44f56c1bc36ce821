/*
 * An index of one key, whose commits are made when the test says so, and fail where it says so.
 * What it holds is what a restart would find.
 */
#ifndef LARDER_TESTS_FLOW_FAKE_INDEX_H
#define LARDER_TESTS_FLOW_FAKE_INDEX_H

#include "common/buf.h"
#include "common/record.h"
#include "master/index.h"
#include "master/recall.h"
#include "tests/flow/fake_base.h"

struct index {
    char unused;
};

static struct {
    /* as on the disk; "" where there is none */
    char value[4096], work[128 * 1024];
    struct index_change *pending; /* handed over, not decided yet */
    char event[64];               /* the last that was told, "" before */
    unsigned commits;             /* so far */
    unsigned fail_at;             /* the commit that fails, from 1; 0: none */
    enum status fail_with;
    enum status health;
    bool restored;
    enum status read_fails;
    unsigned kept; /* times that what was read was kept */
    bool knows;    /* what it says is known, with `stamp` */
    uint64_t stamp;
} fake_index;

/* The index begins with this; lines of `work` end with ';'. */
static inline void index_holds(const char *value, const char *work)
{
    memset(&fake_index, 0, sizeof fake_index);
    (void)snprintf(fake_index.value, sizeof fake_index.value, "%s", value);
    (void)snprintf(fake_index.work, sizeof fake_index.work, "%s", work);
}

#define ck_index(expected_value, expected_work)                                                    \
    do {                                                                                           \
        ck_assert_str_eq(fake_index.value, expected_value);                                        \
        ck_assert_str_eq(fake_index.work, expected_work);                                          \
    } while (0)

/* Lines in the text of a test end with ';'. */
static inline void swap_ends(char *text, char from, char to)
{
    for (; *text; text++)
        *text = *text == from ? to : *text;
}

static inline enum status read_index(struct record *rec, bool with_work)
{
    char work[sizeof fake_index.work];
    memcpy(work, fake_index.work, sizeof work);
    swap_ends(work, ';', '\n');
    record_init(rec);
    if (fake_index.read_fails)
        return fake_index.read_fails;
    const char *value = fake_index.value[0] ? fake_index.value : NULL;
    bool has_work = with_work && work[0];
    return record_decode(rec, value, strlen(fake_index.value), has_work ? work : NULL,
                         strlen(work));
}

/* There is one master only. */
uint64_t index_reading_term(struct index *index UNUSED)
{
    return 0;
}

enum status index_get(struct index *index UNUSED, const struct key *key UNUSED, struct record *rec)
{
    enum status st = read_index(rec, false);
    return !st && rec->state == KEY_ABSENT ? ST_NOT_FOUND : st;
}

enum status index_look(struct index *index UNUSED, const struct key *key UNUSED, struct buf *text,
                       struct record_view *view, struct recall_ticket *ticket)
{
    *ticket = (struct recall_ticket){
        .open = true, .known = fake_index.knows, .stamp = fake_index.knows ? fake_index.stamp : 0};
    buf_clear(text);
    buf_adds(text, fake_index.value);
    if (fake_index.read_fails || !fake_index.value[0])
        return fake_index.read_fails ? fake_index.read_fails : ST_NOT_FOUND;
    return buf_ok(text) ? record_look(view, text->data, text->len) : ST_NO_MEMORY;
}

void index_keep(struct index *index UNUSED, const struct key *key UNUSED,
                const struct record_view *view, const struct recall_ticket *ticket)
{
    ck_assert(ticket->open);
    fake_index.stamp = fake_index.knows ? ticket->stamp : 0;
    ck_assert_int_ne(view->state, KEY_ABSENT);
    fake_index.kept++;
}

enum status index_get_all(struct index *index UNUSED, const struct key *key UNUSED,
                          struct record *rec)
{
    return read_index(rec, true);
}

void index_change_begin(struct index_change *change, struct loop *loop UNUSED,
                        void (*committed)(void *arg, enum status st), void *arg)
{
    ck_assert_ptr_ne(change, fake_index.pending);
    buf_clear(&change->ops);
    fake_index.event[0] = 0;
    change->lazy = false;
    change->committed = committed;
    change->arg = arg;
}

/* Both parts, with a NUL behind each. */
void index_change_record(struct index_change *change, const struct key *key,
                         const struct record *rec)
{
    bool there = record_encode(rec, key, &change->ops);
    buf_addc(&change->ops, 0);
    there = record_encode_work(rec, &change->ops) || there;
    buf_addc(&change->ops, 0);
    (void)there;
}

/* Noted when it is said, so a test sees which commit it belongs to. */
void index_change_event(struct index_change *change UNUSED, enum changes_event event,
                        const struct key *key UNUSED, uint64_t size, const char *md5)
{
    static const char *const words[] = {"put", "overwrite", "delete", "unlink", "reset"};
    (void)md5;
    snprintf(fake_index.event, sizeof fake_index.event, "%s:%llu", words[event],
             (unsigned long long)size);
}

void index_change_free(struct index_change *change)
{
    ck_assert_ptr_ne(change, fake_index.pending); /* the committer has it still */
    buf_free(&change->ops);
}

enum status index_health(struct index *index UNUSED)
{
    return fake_index.health;
}

uint64_t index_restored_made_ms(const struct index *index UNUSED)
{
    return 0;
}

bool index_restored(const struct index *index UNUSED)
{
    return fake_index.restored;
}

void index_commit(struct index *index UNUSED, struct index_change *change)
{
    ck_assert_ptr_null(fake_index.pending);
    fake_index.pending = change;
    note("%s", change->lazy ? "commit-lazy" : "commit");
}

/* The committer has written what it was given, or failed to. */
static inline void index_commits(void)
{
    struct index_change *change = fake_index.pending;
    ck_assert_ptr_nonnull(change);
    enum status st = buf_ok(&change->ops) ? ST_OK : ST_NO_MEMORY;
    if (++fake_index.commits == fake_index.fail_at)
        st = fake_index.fail_with;
    if (!st) {
        const char *work = change->ops.data + strlen(change->ops.data) + 1;
        (void)snprintf(fake_index.value, sizeof fake_index.value, "%s", change->ops.data);
        (void)snprintf(fake_index.work, sizeof fake_index.work, "%s", work);
        swap_ends(fake_index.work, '\n', ';');
    }
    fake_index.pending = NULL;
    change->committed(change->arg, st);
}

#endif
