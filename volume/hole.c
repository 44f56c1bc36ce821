/*
 * A file that should be here and is not, or is damaged: the reader, whom a master has sent, is sent
 * back to it for another copy. The places that have failed him go along (?avoid=), so the master
 * does not send him here again, and marks the key as suspect.
 *
 * The trap is a circle: a reader who is sent to and fro between a volume and a master that knows
 * nothing better. So whoever names this volume among the places to avoid gets a 404 here; and what
 * comes from larder itself is never redirected, as it asks about this very copy.
 *
 * The place is told as the reader has it: by the Host of his request and the path before the key.
 * The master knows it by its address.
 */
#include "volume/hole.h"

#include <string.h>

#include "common/buf.h"
#include "common/http_server.h"
#include "common/key.h"
#include "volume/config.h"
#include "volume/flow.h"
#include "volume/service.h"

/* A list of places of more bytes than this does not come from a master. */
enum { AVOID_MAX = 4096 };

/* Goes through the places of `avoid`, percent-decoded, and appends them to the Location, encoded
 * one by one. False where `here` is among them. */
static bool add_avoided(struct buf *location, const char *avoid, const char *here)
{
    while (*avoid) {
        size_t len = strcspn(avoid, ",");
        if (len == strlen(here) && !memcmp(avoid, here, len))
            return false;
        if (len > 0) {
            key_encode(location, avoid, len);
            buf_addc(location, ',');
        }
        avoid += len + (avoid[len] == ',');
    }
    return true;
}

/* False where there is nothing to be redirected to; the caller then answers 404. */
static bool make_location(struct buf *location, struct flow *flow, const char *master,
                          const char *here, const struct key *key)
{
    char avoid[AVOID_MAX];
    size_t query_len;
    const char *query = http_request_query(flow->req, &query_len);
    long len = key_query(query, query_len, "avoid", avoid, sizeof avoid);
    if (len < -1) /* too long, or a broken escape: not from a master */
        return false;
    if (len < 0)
        avoid[0] = '\0';
    buf_addf(location, "http://%s", master);
    key_encode(location, key->bytes, key->len);
    buf_adds(location, "?avoid=");
    if (!add_avoided(location, avoid, here))
        return false;
    key_encode(location, here, strlen(here));
    return buf_ok(location);
}

bool hole_redirect(struct flow *flow)
{
    const struct option_list *masters = &flow->service->config->masters;
    const char *internal = http_request_field(flow->req, "Larder-Internal");
    const char *host = http_request_field(flow->req, "Host");
    struct key key;
    size_t prefix;
    if (masters->count == 0 || (internal && !strcmp(internal, "1")) || !host || !host[0] ||
        path_key(flow->path, &key, &prefix))
        return false;

    struct buf here = BUF_INIT, location = BUF_INIT;
    buf_adds(&here, host);
    buf_add(&here, flow->path->text, prefix);
    bool sent =
        buf_ok(&here) && make_location(&location, flow, masters->items[0], buf_text(&here), &key);
    if (sent) {
        atomic_fetch_add(&flow->service->counters.holes, 1);
        http_reply_field(flow->req, "Location", buf_text(&location));
        http_reply(flow->req, 302, NULL, 0);
    }
    buf_free(&here);
    buf_free(&location);
    return sent;
}
