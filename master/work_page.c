#include "master/work_page.h"

#include <stdlib.h>

#include "common/loop.h"
#include "common/record.h"
#include "master/index.h"

enum { KEYS = 256 }; /* that are read at once */

struct reading {
    struct work_page *page;
    const struct work_turn *turn;
};

bool work_page_init(struct work_page *page)
{
    page->keys = calloc(KEYS, sizeof *page->keys);
    page->scopes = calloc(KEYS, sizeof *page->scopes);
    return page->keys && page->scopes;
}

void work_page_free(struct work_page *page)
{
    free(page->keys);
    free(page->scopes);
    buf_free(&page->start);
}

void work_page_rewind(struct work_page *page)
{
    buf_clear(&page->start);
    page->count = page->next = page->pressing = 0;
}

uint64_t work_page_earlier(uint64_t a, uint64_t b)
{
    return a && (!b || a < b) ? a : b;
}

/* Whether a key's turn is in this pass. */
static bool is_turn(const struct work_turn *turn, const struct record *work)
{
    bool urgent = work->few_copies && work->few_left < turn->passes;
    unsigned pass = !urgent ? turn->passes : work->few_left ? work->few_left : 1;
    return pass == turn->pass || turn->passes == 1;
}

static bool needs_repair(const struct record *work)
{
    return work->few_copies || work->suspect;
}

/* Notes what is to be known of a key, whether its time has come or not. */
static void count_key(struct work_page *page, const struct record *work, uint64_t now)
{
    page->seen++;
    for (size_t i = 0; i < work->garbage.count; i++)
        if (work->garbage.list[i].due > now)
            page->due_ms = work_page_earlier(page->due_ms, work->garbage.list[i].due);
    if (!needs_repair(work))
        return;
    page->to_repair++;
    page->oldest_ms = work_page_earlier(page->oldest_ms, work->since);
}

/* Behind the others, or, where it presses, behind those that do: the first of the others moves to
 * the end for it. */
static void add_key(struct work_page *page, const struct key *key, enum tend_scope scope,
                    bool presses)
{
    size_t at = presses ? page->pressing : page->count;
    page->keys[page->count] = page->keys[at];
    page->scopes[page->count] = page->scopes[at];
    page->keys[at] = *key;
    page->scopes[at] = scope;
    page->count++;
    page->pressing += presses;
}

static bool take_key(void *arg, const char *bytes, size_t len, const struct record *work)
{
    const struct reading *reading = arg;
    struct work_page *page = reading->page;
    uint64_t now = reading->turn->wall_ms;
    struct key key;
    if (!is_turn(reading->turn, work))
        return true;
    if (page->count == KEYS) {
        buf_clear(&page->start);
        buf_add(&page->start, bytes, len);
        page->last = !buf_ok(&page->start);
        return false;
    }
    count_key(page, work, now);
    bool due = record_has_due(work, now);
    bool repair = reading->turn->repairs && needs_repair(work);
    if ((repair || due) && key_from_bytes(&key, bytes, len) == ST_OK)
        add_key(page, &key, repair ? TEND_REPAIR : TEND_CLEAR,
                due && work->garbage.count >= WORK_PAGE_MANY_OLD);
    return true;
}

void work_page_read(struct work_page *page, struct index *index, const struct work_turn *turn)
{
    struct reading reading = {page, turn};
    uint64_t began = loop_now_ms();
    *page = (struct work_page){
        .keys = page->keys, .scopes = page->scopes, .start = page->start, .last = true};
    page->st = index_scan_work(index, &page->start, take_key, &reading);
    if (page->st == ST_CORRUPT)
        page->st = ST_OK; /* it was noted; what else there is to do is done all the same */
    page->took_ms = loop_now_ms() - began;
}
