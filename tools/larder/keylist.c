/*
 * Pages of records, each fetched when the one before is used up. `next` is where the master said to
 * go on, still encoded: it goes back as it came. So a list that takes hours holds one page, and
 * misses no key that was there all the time: keys stand in order, and new ones behind `next` come
 * with their page.
 */
#include "tools/larder/keylist.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/key.h"
#include "tools/larder/client.h"
#include "tools/larder/info.h"

enum { PAGE = 1000 }; /* records; some hundred bytes each */

struct keylist {
    struct client *client;
    struct buf next; /* where the next page begins, encoded */
    bool work;       /* only keys with work */
    bool last;       /* there is no next page */
    struct json *page;
    size_t at; /* in the page */
};

struct keylist *keylist_new(struct client *client, const void *start, size_t len)
{
    struct keylist *list = calloc(1, sizeof *list);
    if (!list)
        return NULL;
    list->client = client;
    key_encode(&list->next, start, len);
    return list;
}

struct keylist *keylist_new_work(struct client *client)
{
    struct keylist *list = keylist_new(client, "", 0);
    if (list)
        list->work = true;
    return list;
}

void keylist_free(struct keylist *list)
{
    if (!list)
        return;
    json_free(list->page);
    buf_free(&list->next);
    free(list);
}

/* The page before is freed only when the next one has been asked for: the loop of keylist_next()
 * looks at it until then. */
static enum status fetch_page(struct keylist *list)
{
    struct buf path = BUF_INIT;
    buf_addf(&path, "/admin/keys?limit=%d&start=%s%s", PAGE, buf_text(&list->next),
             list->work ? "&work" : "");
    enum status st = buf_ok(&path) && buf_ok(&list->next)
                         ? client_request(list->client, "GET", buf_text(&path))
                         : ST_NO_MEMORY;
    buf_free(&path);
    if (st || client_status(list->client) != 200) {
        client_explain(list->client, st, "list the keys", NULL);
        return st ? st : ST_PEER;
    }
    json_free(list->page);
    list->page = client_json(list->client);
    list->at = 0;
    const char *next = json_text(json_member(list->page, "next"));
    if (!list->page || !next) {
        client_explain(list->client, ST_PEER, "understand the list of keys", NULL);
        return ST_PEER;
    }
    list->last = !*next;
    buf_clear(&list->next);
    buf_adds(&list->next, next);
    return ST_OK;
}

/* A page may be empty and not the last, hence the loop. */
enum status keylist_next(struct keylist *list, struct info *info)
{
    const struct json *record;
    while (!(record = json_item(json_member(list->page, "records"), list->at))) {
        if (list->page && list->last)
            return ST_NOT_FOUND;
        enum status st = fetch_page(list);
        if (st)
            return st;
    }
    list->at++;
    info_free(info);
    enum status st = info_parse(record, info);
    if (st)
        client_explain(list->client, st, "understand a record in the list of keys", NULL);
    return st;
}
