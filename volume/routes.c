/*
 * From a request to its flow. /admin/ is found before paths are: it would be one. Requests may come
 * with the path of --base before it, which is left off.
 *
 * A path is allocated for each request, and the flow's from its start on: it lives as long as the
 * flow, on pool threads too.
 */
#include "volume/routes.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_server.h"
#include "common/loop.h"
#include "volume/admin.h"
#include "volume/config.h"
#include "volume/flow.h"
#include "volume/path.h"
#include "volume/service.h"
#include "volume/subvolumes.h"

/* What follows "/admin/" in a request's path, also below the path of the base URL; else NULL. */
static const char *admin_part(const struct service *service, const char *raw, size_t len,
                              size_t *part_len)
{
    static const char admin[] = "/admin/";
    const char *base = service->config->base_path;
    size_t base_len = strlen(base);
    if (base_len > 0 && len > base_len && !memcmp(raw, base, base_len)) {
        raw += base_len;
        len -= base_len;
    }
    if (len < sizeof admin - 1 || memcmp(raw, admin, sizeof admin - 1) != 0)
        return NULL;
    *part_len = len - (sizeof admin - 1);
    return raw + sizeof admin - 1;
}

static bool is_read(enum http_method method)
{
    return method == HTTP_GET || method == HTTP_HEAD;
}

/* Pages are few, so a row is searched; all may be read, some take a POST. */
static void handle_admin(struct service *service, struct http_request *req, const char *part,
                         size_t len)
{
    static const struct {
        const char *name;
        void (*start)(struct service *service, struct http_request *req);
        bool post; /* is known as well */
    } pages[] = {
        {"health", admin_health_start, false}, {"metrics", admin_metrics_start, false},
        {"name", admin_name_start, true},      {"quarantine", list_quarantine_start, false},
        {"scrub", admin_scrub_start, true},    {"tombstones", list_tombstones_start, false},
    };
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        if (strlen(pages[i].name) != len || memcmp(pages[i].name, part, len) != 0)
            continue;
        if (is_read(http_request_method(req)) ||
            (pages[i].post && http_request_method(req) == HTTP_POST)) {
            pages[i].start(service, req);
        } else {
            http_reply_field(req, "Allow", pages[i].post ? "GET, HEAD, POST" : "GET, HEAD");
            http_reply_status(req, ST_METHOD, NULL);
        }
        return;
    }
    http_reply_status(req, ST_NOT_FOUND, NULL);
}

/* The flow owns req and path. */
static void start_flow(struct service *service, struct http_request *req, struct path *path)
{
    switch (http_request_method(req)) {
    case HTTP_GET:
    case HTTP_HEAD:
        if (path->directory)
            list_start(service, req, path);
        else
            get_start(service, req, path);
        break;
    case HTTP_PUT:
        if (http_request_field(req, "Larder-Copy-From"))
            pull_start(service, req, path);
        else
            put_start(service, req, path);
        break;
    case HTTP_DELETE:
        delete_start(service, req, path);
        break;
    case HTTP_UNLINK:
        unlink_start(service, req, path);
        break;
    default:
        free(path);
        http_reply_status(req, ST_METHOD, NULL);
    }
}

/* True also where no volume is named. */
static bool names_us(const struct service *service, const struct http_request *req)
{
    const char *id = http_request_field(req, "Larder-Identity");
    return !id || strcmp(id, subvolumes_id(service->all)) == 0;
}

/* A writer's look at the health of the volume that it means. It may have been another that was at
 * this address until now, even one of another store, whose terms are counted by another etcd. */
static bool is_look_at_us(const struct service *service, const struct http_request *req,
                          const char *part, size_t part_len)
{
    static const char health[] = "health";
    return part && part_len == sizeof health - 1 && memcmp(part, health, part_len) == 0 &&
           names_us(service, req);
}

/* False where it comes of a master that is no writer any more. Reads do no harm, and are no word
 * of a writer's either, but for its looks at our health. */
static bool pass_fence(struct service *service, struct http_request *req, const char *part,
                       size_t part_len)
{
    const char *field = http_request_field(req, "Larder-Term");
    bool reads = is_read(http_request_method(req));
    if (!field || (reads && !is_look_at_us(service, req, part, part_len)))
        return true;
    return fence_hear(&service->fence, fence_parse(field), loop_now_ms()) || reads;
}

/* False where the master means another volume, at whose address this one has come to be since the
 * master looked last: a value would be where nobody looks for it, or be believed to be gone. Looks
 * at our health are answered: that is how masters notice. */
static bool is_meant(const struct service *service, const struct http_request *req,
                     const char *part)
{
    return (part && is_read(http_request_method(req))) || names_us(service, req);
}

void routes_handle(struct http_request *req, void *arg)
{
    struct service *service = arg;
    size_t len, part_len = 0;
    const char *raw = http_request_path(req, &len);
    const char *part = admin_part(service, raw, len, &part_len);
    /* First: its term is not for us either. */
    if (!is_meant(service, req, part)) {
        http_reply_status(req, ST_UNAVAILABLE,
                          "another volume is meant, which was at this address");
        return;
    }
    if (!pass_fence(service, req, part, part_len)) {
        http_reply_status(req, ST_NOT_WRITER, "another master writes by now");
        return;
    }
    if (part) {
        handle_admin(service, req, part, part_len);
        return;
    }
    struct path *path = malloc(sizeof *path);
    enum status st = path ? path_parse(path, raw, len) : ST_NO_MEMORY;
    if (st) {
        free(path);
        http_reply_status(req, st,
                          st == ST_BAD_REQUEST ? "this path cannot be a file of a volume" : NULL);
        return;
    }
    start_flow(service, req, path);
}
