/*
 * What the volumes look like from outside: JSON, metrics, a tally. Read-only, on any loop, under
 * the lock for reading: a page is of one instant.
 */
#include <inttypes.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "master/volumes_state.h"

/* Those that were removed are no reason to wait for a check. */
void volumes_tally(struct volumes *volumes, size_t *writable, size_t *checked, size_t *full)
{
    *writable = *checked = *full = 0;
    (void)pthread_rwlock_rdlock(&volumes->lock);
    for (size_t i = 0; i < volumes->count; i++) {
        const struct volume *volume = volumes->list[i];
        *checked += volume->checked || volume->facts.removed;
        *writable += volume_writable(volumes_state_of(volume, ""));
        bool any_full = volume->state == VOLUME_FULL;
        for (size_t j = 0; j < volume->subvolume_count; j++)
            any_full = any_full || volume->subvolumes[j].state == VOLUME_FULL;
        *full += any_full;
    }
    (void)pthread_rwlock_unlock(&volumes->lock);
}

/* "-" is no subvolume's name: the state of the volume itself, with its draining. */
static const char *state_name(const struct volume *volume)
{
    return volume->lost ? "lost" : volume_state_text(volumes_state_of(volume, "-"));
}

/* Their names come from the volume, and so are escaped. */
static void subvolumes_json(const struct volume *volume, struct buf *out)
{
    for (size_t j = 0; j < volume->subvolume_count; j++) {
        const struct subvolume_report *sub = &volume->subvolumes[j];
        buf_adds(out, j ? "," : "");
        json_add_string(out, sub->name, strlen(sub->name));
        buf_addf(out,
                 ":{\"state\":\"%s\",\"free\":%" PRIu64 ",\"total\":%" PRIu64 ",\"errors\":%" PRIu64
                 "}",
                 volume_state_text(sub->state), sub->free, sub->total, sub->errors);
    }
}

void volumes_json(struct volumes *volumes, struct buf *out)
{
    buf_adds(out, "{\"volumes\":[");
    (void)pthread_rwlock_rdlock(&volumes->lock);
    for (size_t i = 0, shown = 0; i < volumes->count; i++) {
        const struct volume *volume = volumes->list[i];
        if (volume->facts.removed)
            continue;
        buf_addf(out,
                 "%s\n{\"name\":\"%s\",\"address\":\"%s\",\"state\":\"%s\",\"kind\":\"%s\",\"id\":"
                 "\"%s\","
                 "\"free\":%" PRIu64 ",\"total\":%" PRIu64 ",\"errors\":%" PRIu64
                 ",\"subvolumes\":{",
                 shown++ ? "," : "", volume->name, volume->facts.address, state_name(volume),
                 volume->kind == VOLUME_LARDER ? "larder" : "plain", volume->facts.id, volume->free,
                 volume->total, volume->errors);
        subvolumes_json(volume, out);
        buf_adds(out, "}}");
    }
    (void)pthread_rwlock_unlock(&volumes->lock);
    buf_adds(out, "]}\n");
}

void volumes_metrics(struct volumes *volumes, struct buf *out)
{
    (void)pthread_rwlock_rdlock(&volumes->lock);
    buf_adds(out, "# HELP larder_volume_up 1 where the volume answers its health check.\n"
                  "# TYPE larder_volume_up gauge\n");
    for (size_t i = 0; i < volumes->count; i++)
        if (!volumes->list[i]->facts.removed)
            buf_addf(out, "larder_volume_up{volume=\"%s\"} %d\n", volumes->list[i]->name,
                     volumes->list[i]->state == VOLUME_UP);
    buf_adds(out, "# HELP larder_volume_errors_total Requests and checks that it did not answer.\n"
                  "# TYPE larder_volume_errors_total counter\n");
    for (size_t i = 0; i < volumes->count; i++)
        if (!volumes->list[i]->facts.removed)
            buf_addf(out, "larder_volume_errors_total{volume=\"%s\"} %" PRIu64 "\n",
                     volumes->list[i]->name, volumes->list[i]->errors);
    (void)pthread_rwlock_unlock(&volumes->lock);
}
