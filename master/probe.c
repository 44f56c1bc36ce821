/*
 * Who answers at an address. Larder's volumes say so in JSON; any other HTTP server that answers
 * below 500 is a plain volume that is up, whatever it says: 404 is what nginx says to a path that
 * it does not have.
 */
#include "master/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/json.h"
#include "master/config.h"
#include "master/volumes.h"
#include "master/worker.h"

/* --- reading the answer --- */

/* The states that a volume has of its own; what else there is (slow, draining, lost) is the
 * master's judgement. */
static enum volume_state parse_state(const char *text)
{
    if (!text || strcmp(text, "up") == 0)
        return VOLUME_UP;
    if (strcmp(text, "full") == 0)
        return VOLUME_FULL;
    if (strcmp(text, "read-only") == 0)
        return VOLUME_READ_ONLY;
    return VOLUME_DOWN; /* "missing", or something from the future */
}

static void add_subvolume(void *arg, const char *name, const struct json *value)
{
    struct volume_report *report = arg;
    struct subvolume_report *more =
        realloc(report->subvolumes, (report->subvolume_count + 1) * sizeof *more);
    if (!more)
        return; /* not known: as if it were up */
    report->subvolumes = more;
    struct subvolume_report *sub = &more[report->subvolume_count++];
    memset(sub, 0, sizeof *sub);
    strncpy(sub->name, name, sizeof sub->name - 1);
    sub->state = parse_state(json_text(json_member(value, "state")));
    sub->free = (uint64_t)json_int(json_member(value, "free"), 0);
    sub->total = (uint64_t)json_int(json_member(value, "total"), 0);
    sub->errors = (uint64_t)json_int(json_member(value, "errors"), 0);
}

void probe_parse(struct volume_report *report, const char *text, size_t len)
{
    struct json *json = json_parse(text, len, NULL);
    const char *server = json_text(json_member(json, "server"));
    const char *id = json_text(json_member(json, "id"));
    const char *name = json_text(json_member(json, "name"));
    report->answered = true;
    report->kind = VOLUME_PLAIN;
    if (server && strcmp(server, "larder-volume") == 0) {
        report->kind = VOLUME_LARDER;
        if (id && strlen(id) == IDENTITY_SIZE)
            memcpy(report->id, id, IDENTITY_SIZE + 1);
        if (name && placement_volume_name(name, strlen(name), report->name))
            report->name[0] = 0;
        report->free = (uint64_t)json_int(json_member(json, "free"), 0);
        report->total = (uint64_t)json_int(json_member(json, "total"), 0);
        json_each(json_member(json, "subvolumes"), add_subvolume, report);
    }
    json_free(json);
}

void probe_read(struct volume_report *report, struct http_call *call, enum status st)
{
    /* One that is overloaded or broken says nothing of its kind and identity. */
    if (st || http_call_status(call) >= 500)
        return;
    size_t len;
    const char *text = http_call_body(call, &len);
    probe_parse(report, text, len);
}

/* --- asking --- */

/* As larder's own request, so that a volume answers for itself alone. A term goes together with the
 * identity of whom it is for: etcds count each for itself, so one of this store would keep the
 * masters of another store from writing to their volume, where that is at the address by now. */
struct http_call *probe_start(struct worker *worker, const char *address, const char *id,
                              void (*done)(void *arg, struct http_call *call, enum status st),
                              void *arg)
{
    char term_text[MASTER_TERM_FIELD];
    char id_text[sizeof "Larder-Identity: " + IDENTITY_SIZE];
    const char *const fields[] = {"Larder-Internal: 1",
                                  id ? master_term_field(worker->master, term_text) : NULL, id_text,
                                  NULL};
    (void)snprintf(id_text, sizeof id_text, "Larder-Identity: %s", id ? id : "");
    unsigned timeout = worker->master->config->voltimeout_ms;
    struct buf url = BUF_INIT;
    buf_addf(&url, "http://%s/admin/health", address);
    const struct http_call_spec spec = {
        .method = "GET",
        .url = buf_text(&url),
        .fields = fields,
        .done = done,
        .arg = arg,
        .connect_timeout_ms = timeout,
        .timeout_ms = timeout,
    };
    struct http_call *call = buf_ok(&url) ? http_call_start(worker->client, &spec) : NULL;
    buf_free(&url);
    return call;
}
