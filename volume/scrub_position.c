/*
 * The position is a path and not a place in a directory: readdir's cookies mean nothing after a
 * restart, but values in the order of their paths can be gone on with after any of them, also after
 * one that was deleted meanwhile (scrub_walk.h).
 */
#include "volume/scrub_position.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/durable.h"
#include "common/log.h"
#include "volume/disk.h"
#include "volume/store.h"
#include "volume/subvolume.h"

enum { FIELDS = 10 }; /* lines before the path */

void scrub_position_clear(struct scrub_position *position)
{
    free(position->after);
    *position = (struct scrub_position){.after = NULL};
}

/* `forced` and `rate` are the caller's to set. */
void scrub_position_start(struct scrub_position *position, uint64_t now_ms)
{
    free(position->after);
    position->after = NULL;
    position->running = true;
    position->started = now_ms;
    position->values = position->bytes = position->damaged = 0;
}

void scrub_position_finish(struct scrub_position *position, uint64_t now_ms)
{
    free(position->after);
    position->after = NULL;
    position->running = position->forced = false;
    position->finished = now_ms;
    position->total = position->bytes;
}

/* The new path first: without memory the old one stays, and is right. */
bool scrub_position_advance(struct scrub_position *position, const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return false;
    free(position->after);
    position->after = copy;
    return true;
}

uint64_t scrub_position_due(const struct scrub_position *position, uint64_t period_ms,
                            uint64_t now_ms)
{
    if (period_ms == 0)
        return UINT64_MAX;
    /* A clock that was set back must not put the round off by years. */
    if (position->started > now_ms || position->started == 0)
        return now_ms;
    /* From beginning to beginning, since a round takes most of a period. */
    return position->started + period_ms;
}

/* --- The text --- */

/* A line of the text. All have a number; the path, which may have any byte, comes last. */
struct field {
    const char *name;
    uint64_t value;
};

/* In the order of the text, which the parser insists on. */
static void to_fields(const struct scrub_position *p, struct field fields[FIELDS])
{
    const struct field all[FIELDS] = {
        {"scrub", 1},          {"running", p->running}, {"forced", p->forced},
        {"rate", p->rate},     {"started", p->started}, {"finished", p->finished},
        {"values", p->values}, {"bytes", p->bytes},     {"damaged", p->damaged},
        {"total", p->total},
    };
    memcpy(fields, all, sizeof all);
}

void scrub_position_format(const struct scrub_position *position, struct buf *out)
{
    struct field fields[FIELDS];
    to_fields(position, fields);
    for (int i = 0; i < FIELDS; i++)
        buf_addf(out, "%s %" PRIu64 "\n", fields[i].name, fields[i].value);
    buf_adds(out, "after ");
    buf_adds(out, position->after ? position->after : "");
    buf_addc(out, '\n'); /* the last byte of all: a path may have others */
}

/* Reads "NAME NUMBER\n" and moves on. */
static bool read_field(const char **text, struct field *field)
{
    size_t len = strlen(field->name);
    char *end;
    if (strncmp(*text, field->name, len) != 0 || (*text)[len] != ' ')
        return false;
    const char *digits = *text + len + 1;
    errno = 0;
    field->value = strtoull(digits, &end, 10);
    if (errno || digits[0] < '0' || digits[0] > '9' || *end != '\n')
        return false;
    *text = end + 1;
    return true;
}

/* What stands between "after " and the last newline, other newlines included; false where that is
 * not there. */
static bool read_after(const char *text, const char **path, size_t *len)
{
    size_t size = strlen(text);
    if (strncmp(text, "after ", 6) != 0 || size < 7 || text[size - 1] != '\n')
        return false;
    *path = text + 6;
    *len = size - 7;
    return true;
}

/* Filled into a struct of its own first, so that nothing half read is ever seen. */
enum status scrub_position_parse(struct scrub_position *position, const char *text, size_t len)
{
    struct scrub_position found = {.after = NULL};
    struct field fields[FIELDS];
    const char *path;
    size_t path_len;
    *position = found;
    to_fields(&found, fields);
    /* A NUL: the strings below would end there. */
    if (strlen(text) != len)
        return ST_CORRUPT;
    for (int i = 0; i < FIELDS; i++)
        if (!read_field(&text, &fields[i]))
            return ST_CORRUPT;
    if (fields[0].value != 1 || fields[1].value > 1 || fields[2].value > 1 ||
        !read_after(text, &path, &path_len))
        return ST_CORRUPT;
    found.running = fields[1].value != 0;
    found.forced = fields[2].value != 0;
    found.rate = fields[3].value;
    found.started = fields[4].value;
    found.finished = fields[5].value;
    found.values = fields[6].value;
    found.bytes = fields[7].value;
    found.damaged = fields[8].value;
    found.total = fields[9].value;
    if (path_len > 0) {
        found.after = strndup(path, path_len);
        if (!found.after)
            return ST_NO_MEMORY;
    }
    *position = found;
    return ST_OK;
}

/* --- The disk --- */

/* By durable_read and not by the subvolume's disk: what fails here is only this text. */
enum status scrub_position_load(struct scrub_position *position, struct subvolumes *all,
                                unsigned subvolume)
{
    struct store_at at = {.all = all, .subvolume = subvolume, .file = "", .request = "scrub"};
    struct scrub_position found;
    struct subvolume *sub;
    struct buf text = BUF_INIT;
    enum status st;
    int root = store_enter(&at, SUBVOLUME_READ, &sub, &st);
    if (root < 0)
        return st;
    st = durable_read(root, ".larder/scrub", &text);
    (void)subvolume_disk(sub)->close(root);
    if (!st)
        st = scrub_position_parse(&found, buf_text(&text), text.len);
    buf_free(&text);
    if (st == ST_OK) {
        free(position->after);
        *position = found;
    } else if (st != ST_NOT_FOUND) {
        log_event(LOG_WARN, "scrub",
                  "subvolume=\"%s\" doing=\"read .larder/scrub\" error=\"%s\" advice=\"the round "
                  "begins anew\"",
                  subvolume_name(sub), status_text(st));
    }
    return st;
}

/* A full disk, or a want of memory, costs a little reading after a restart, and is only logged. The
 * file is written by the lane's thread alone, as durable_write() wants. */
enum status scrub_position_save(const struct scrub_position *position, struct subvolumes *all,
                                unsigned subvolume)
{
    struct store_at at = {.all = all, .subvolume = subvolume, .file = "", .request = "scrub"};
    struct subvolume *sub;
    struct buf text = BUF_INIT;
    enum status st;
    int root = store_enter(&at, SUBVOLUME_DELETE, &sub, &st);
    if (root < 0)
        return st;
    scrub_position_format(position, &text);
    st = buf_ok(&text) ? durable_mkdir(root, ".larder") : ST_NO_MEMORY;
    int own = st ? -1 : openat(root, ".larder", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!st && own < 0)
        st = status_of_errno(errno);
    if (!st)
        st = durable_write(own, "scrub", text.data, text.len);
    if (own >= 0)
        (void)close(own);
    (void)subvolume_disk(sub)->close(root);
    buf_free(&text);
    if (st == ST_IO) /* also a failed fsync, after which nothing is believed */
        (void)subvolume_sync_error(sub, "scrub", "write", ".larder/scrub", EIO);
    else if (st)
        log_event(LOG_WARN, "scrub",
                  "subvolume=\"%s\" doing=\"write .larder/scrub\" error=\"%s\" "
                  "advice=\"after a restart the round goes on from an earlier place\"",
                  subvolume_name(sub), status_text(st));
    return st;
}
