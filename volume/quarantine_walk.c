/*
 * Each note whose value is in the quarantine; its own text tells the path. A note that cannot be
 * read is logged and passed over: it is for people, and must not hide the others.
 */
#include "volume/quarantine_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/durable.h"
#include "common/json.h"
#include "common/log.h"
#include "volume/disk.h"
#include "volume/quarantine_names.h"
#include "volume/subvolume.h"

enum { PIECE_BYTES = 64 * 1024 };

struct quarantine_walk {
    const struct store_at *at; /* the caller's */
    struct subvolume *sub;
    DIR *dir;   /* NULL: there is none */
    bool begun; /* the head of the answer is out */
    bool any;
};

enum status quarantine_walk_begin(struct quarantine_walk **walk, const struct store_at *at)
{
    enum status st;
    struct quarantine_walk *w = calloc(1, sizeof *w);
    if (!w)
        return ST_NO_MEMORY;
    w->at = at;
    int root = store_enter(at, SUBVOLUME_READ, &w->sub, &st);
    if (root >= 0) {
        st = ST_OK;
        errno = 0;
        w->dir = quarantine_names_list(root, QUARANTINE_DIRECTORY);
        int err = w->dir ? 0 : errno;
        (void)subvolume_disk(w->sub)->close(root);
        if (err && err != ENOENT)
            st = subvolume_error(w->sub, at->request, "open", QUARANTINE_DIRECTORY, err);
    } else if (st == ST_NOT_FOUND) { /* nothing was ever written there */
        st = ST_OK;
    }
    if (st) {
        free(w);
        return st;
    }
    *walk = w;
    return ST_OK;
}

/* Adds what a note tells, if its value is there. */
static void add_note(struct quarantine_walk *walk, struct buf *out, const char *note, size_t id_len)
{
    char name[QUARANTINE_FILE_NAME];
    struct stat is;
    struct buf text = BUF_INIT;
    enum status st = durable_read(dirfd(walk->dir), note, &text);
    struct json *json = st ? NULL : json_parse(buf_text(&text), text.len, NULL);
    const char *path = json_text(json_member(json, "path"));
    if (path)
        quarantine_names_value(note, id_len, path, name);
    else if (st != ST_NOT_FOUND)
        log_event(LOG_ERROR, "quarantine", "subvolume=\"%s\" note=\"%s\" error=\"cannot be read\"",
                  subvolume_name(walk->sub), note);
    if (path && fstatat(dirfd(walk->dir), name, &is, AT_SYMLINK_NOFOLLOW) == 0) {
        buf_adds(out, walk->any ? ",\n{\"path\": " : "\n{\"path\": ");
        json_add_string(out, path, strlen(path));
        buf_addc(out, '}');
        walk->any = true;
    }
    json_free(json);
    buf_free(&text);
}

/* *end: there are no more. */
static enum status step(struct quarantine_walk *walk, struct buf *out, bool *end)
{
    errno = 0;
    const struct dirent *entry = readdir(walk->dir);
    if (!entry && errno)
        return subvolume_error(walk->sub, walk->at->request, "readdir", QUARANTINE_DIRECTORY,
                               errno);
    *end = !entry;
    size_t id_len = entry ? quarantine_names_note(entry->d_name) : 0;
    if (id_len)
        add_note(walk, out, entry->d_name, id_len);
    return ST_OK;
}

enum status quarantine_walk_next(struct quarantine_walk *walk, struct buf *out, bool *more)
{
    enum status st = ST_OK;
    bool end = !walk->dir;
    if (!walk->begun)
        buf_adds(out, "{\"quarantine\": [");
    walk->begun = true;
    while (!st && !end && out->len < PIECE_BYTES)
        st = step(walk, out, &end);
    *more = !end;
    if (end)
        buf_adds(out, "]}\n");
    return st ? st : buf_ok(out) ? ST_OK : ST_NO_MEMORY;
}

void quarantine_walk_free(struct quarantine_walk *walk)
{
    if (!walk)
        return;
    if (walk->dir)
        (void)closedir(walk->dir);
    free(walk);
}
