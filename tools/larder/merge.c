/*
 * Two rows in the same order become one, as in merge sort. Neither side is held in memory: one page
 * of records, one group of files.
 *
 * The sides are not of one moment: the scan was made before, the list comes while clients go on. So
 * a key on one side alone proves nothing; verify takes it for suspect only.
 */
#include "tools/larder/merge.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tools/larder/info.h"
#include "tools/larder/keylist.h"
#include "tools/larder/say.h"
#include "tools/larder/scan.h"

/* Where one of the sides is. */
enum side {
    SIDE_TAKEN, /* what it had was given out: it has to move on */
    SIDE_READY, /* its next key waits */
    SIDE_ENDED
};

struct merge {
    struct keylist *list; /* fetches with the caller's client */
    struct scan_reader *reader;
    struct info info;        /* of the list's next key, while READY or given out */
    struct scan_group group; /* of the scan's */
    struct scan_group none;  /* for keys of which nothing was found */
    enum side list_side;
    enum side scan_side;
};

struct merge *merge_new(struct client *client, struct scan *scan)
{
    struct merge *merge = calloc(1, sizeof *merge);
    if (!merge)
        return NULL;
    info_init(&merge->info);
    merge->list = keylist_new(client, "/", 1);
    merge->reader = scan_reader_new(scan);
    if (merge->list && merge->reader)
        return merge;
    merge_free(merge);
    return NULL;
}

void merge_free(struct merge *merge)
{
    if (!merge)
        return;
    info_free(&merge->info);
    scan_group_free(&merge->group);
    keylist_free(merge->list);
    scan_reader_free(merge->reader);
    free(merge);
}

/* ST_NOT_FOUND ends a side, and is no failure. */
static enum status side_moved(enum side *side, enum status st)
{
    *side = st == ST_NOT_FOUND ? SIDE_ENDED : SIDE_READY;
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* Moving is put off until the next call, so what was given out stays valid until then. */
static enum status move_on(struct merge *merge)
{
    enum status st = ST_OK;
    if (merge->list_side == SIDE_TAKEN)
        st = side_moved(&merge->list_side, keylist_next(merge->list, &merge->info));
    if (!st && merge->scan_side == SIDE_TAKEN) {
        st = side_moved(&merge->scan_side, scan_next(merge->reader, &merge->group));
        if (st)
            say_error("could not read the scratch database: %s", status_text(st));
    }
    return st;
}

/* The order of LevelDB, which both sides are in. */
static int compare_keys(const struct key *a, const struct key *b)
{
    int order = memcmp(a->bytes, b->bytes, a->len < b->len ? a->len : b->len);
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* Below 0: the list's key comes first; above: the scan's; 0: it is the same. */
static int order_of(const struct merge *merge)
{
    if (merge->list_side == SIDE_ENDED)
        return 1;
    if (merge->scan_side == SIDE_ENDED)
        return -1;
    return compare_keys(&merge->info.key, &merge->group.key);
}

/* Where both have the same key both are given out, and both move on at the next call. */
enum status merge_next(struct merge *merge, const struct info **info,
                       const struct scan_group **group)
{
    enum status st = move_on(merge);
    if (st)
        return st;
    if (merge->list_side == SIDE_ENDED && merge->scan_side == SIDE_ENDED)
        return ST_NOT_FOUND;
    int order = order_of(merge);
    *info = order <= 0 ? &merge->info : NULL;
    *group = &merge->group;
    if (order <= 0)
        merge->list_side = SIDE_TAKEN;
    if (order >= 0) {
        merge->scan_side = SIDE_TAKEN;
    } else {
        merge->none.key = merge->info.key;
        *group = &merge->none;
    }
    return ST_OK;
}
