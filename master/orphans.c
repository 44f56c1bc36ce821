/*
 * The path: orphans_start → walk_next → listing_arrived → file_next … → file_done → walk_next …
 *
 * The directories that are still to be listed are a stack of paths; a listing is held whole (a
 * directory of 65,536 others, or of a few hundred files). Only the last level, the names' own
 * directories, has files that matter.
 */
#include "master/orphans.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/json.h"
#include "common/key.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/name.h"
#include "common/record.h"
#include "master/ask.h"
#include "master/config.h"
#include "master/index.h"
#include "master/keylock.h"
#include "master/volumes.h"
#include "master/worker.h"

enum {
    LISTING_MAX = 64 * 1024 * 1024, /* bytes; a longer one is not looked at */
    LISTING_MS = 60000,
    DELETE_MS = 10000,
    DEPTH_MAX = 12 /* of directories below the volume: names of 1,024 bytes are cut five times */
};

/* One walk over all volumes, one directory at a time; owns itself, on the worker's loop. */
struct orphans {
    struct worker *worker;
    const uint64_t *pause_ms; /* between two directories; the owner's, and may change meanwhile */
    struct loop_timer *timer;
    bool pausing;  /* nothing is under way but the timer */
    size_t volume; /* the one that is walked */
    char **stack;  /* paths that end in '/', still to be listed */
    size_t stack_count;
    char *path;      /* the directory at hand */
    struct buf text; /* its listing */
    struct json *listing;
    size_t next;    /* entry of it */
    struct key key; /* of the file at hand */
    struct record rec;
    uint64_t generation;
    enum naming naming;
    char place[VOLUME_NAME_MAX + 16];
    bool stopped; /* begins nothing more; what is under way ends */
    struct orphans_counts counts;
    void (*ended)(void *arg, const struct orphans_counts *counts);
    void *arg;
};

static void walk_next(void *arg);
static bool listing_piece(void *arg, const char *data, size_t len);
static void listing_arrived(void *arg, struct http_call *call, enum status st);
static void file_next(struct orphans *orphans);
static void file_done(void *arg, const struct ask_answer *answers, size_t count);
static void finish(struct orphans *orphans);

/* --- directories --- */

/* The walk goes on, and does not count as a whole one. */
static void leaves_out(struct orphans *orphans)
{
    orphans->counts.whole = false;
    log_event(
        LOG_WARN, "audit",
        "error=\"a directory could not be looked at: no memory, or its listing makes no sense\"");
}

/* Paths as they are, not encoded; they end in '/', so that names can be put behind them. */
static bool push(struct orphans *orphans, const char *parent, const char *name)
{
    struct buf path = BUF_INIT;
    buf_addf(&path, "%s%s/", parent, name);
    char *text = buf_take(&path);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): a list of pointers it is */
    char **more = realloc(orphans->stack, (orphans->stack_count + 1) * sizeof *more);
    if (more)
        orphans->stack = more;
    if (!text || !more) {
        free(text);
        return false;
    }
    more[orphans->stack_count++] = text;
    return true;
}

/* The next directory of this volume, or the root of the next volume that can be asked. NULL: there
 * is none. */
static char *next_directory(struct orphans *orphans)
{
    struct volumes *volumes = orphans->worker->master->volumes;
    if (orphans->stack_count)
        return orphans->stack[--orphans->stack_count];
    while (++orphans->volume < volumes_count(volumes)) {
        const char *name = volumes_name(volumes, orphans->volume);
        if (volumes_state(volumes, name) > VOLUME_FULL)
            continue;
        char *root = strdup("/");
        if (root)
            return root;
        leaves_out(orphans); /* and this volume is left out */
    }
    return NULL;
}

/* By the volume's address, with the path below it; ?meta for the time at which a file was stored.
 */
static bool list_directory(struct orphans *orphans)
{
    static const char *const fields[] = {"Larder-Internal: 1", NULL};
    struct worker *worker = orphans->worker;
    struct buf url = BUF_INIT;
    buf_adds(&url, "http://");
    volumes_add_address(worker->master->volumes,
                        volumes_name(worker->master->volumes, orphans->volume), &url);
    key_encode(&url, orphans->path, strlen(orphans->path));
    buf_adds(&url, "?meta");
    buf_clear(&orphans->text);
    const struct http_call_spec spec = {
        .method = "GET",
        .url = buf_text(&url),
        .fields = fields,
        .write = listing_piece,
        .done = listing_arrived,
        .arg = orphans,
        .timeout_ms = LISTING_MS,
    };
    bool started = buf_ok(&url) && http_call_start(worker->client, &spec);
    buf_free(&url);
    return started;
}

/* Also between the last directory and the end: so finish() never runs inside of the owner's call.
 */
static void pause_walk(struct orphans *orphans)
{
    orphans->pausing = true;
    loop_timer_set(orphans->timer, orphans->stopped ? 0 : *orphans->pause_ms);
}

/* A timer's function, so that the stack does not grow with the directories. */
static void walk_next(void *arg)
{
    struct orphans *orphans = arg;
    orphans->pausing = false;
    free(orphans->path);
    orphans->path = orphans->stopped ? NULL : next_directory(orphans);
    if (!orphans->path) {
        finish(orphans);
    } else if (!list_directory(orphans)) {
        leaves_out(orphans);
        pause_walk(orphans);
    }
}

/* False breaks the call off: a listing without an end would take all memory. */
static bool listing_piece(void *arg, const char *data, size_t len)
{
    struct orphans *orphans = arg;
    if (orphans->text.len + len > LISTING_MAX)
        return false;
    buf_add(&orphans->text, data, len);
    return buf_ok(&orphans->text);
}

static void listing_arrived(void *arg, struct http_call *call, enum status st)
{
    struct orphans *orphans = arg;
    /* A directory that vanished or cannot be read is looked at in the next round. */
    if (!st && http_call_status(call) == 200)
        orphans->listing = json_parse_names(buf_text(&orphans->text), orphans->text.len, NULL);
    if (!buf_ok(&orphans->text) || (!st && http_call_status(call) == 200 && !orphans->listing))
        leaves_out(orphans);
    orphans->next = 0;
    file_next(orphans);
}

/* --- entries --- */

/* Of a path that begins and ends with '/'. */
static size_t depth(const char *path)
{
    size_t count = 0;
    for (; *path; path++)
        count += *path == '/';
    return count;
}

/* Splits the path of a file into its place and what is below: "/sv01/aa/bb/NAME". */
static bool find_key(struct orphans *orphans, const char *name)
{
    struct buf path = BUF_INIT;
    const char *volume = volumes_name(orphans->worker->master->volumes, orphans->volume);
    buf_addf(&path, "%s%s", orphans->path, name);
    if (!buf_ok(&path))
        leaves_out(orphans);
    const char *below = buf_text(&path);
    size_t sub = 0;
    if (strncmp(below, "/sv", 3) == 0)
        sub = 1 + strcspn(below + 1, "/");
    bool found = buf_ok(&path) && name_parse(below + sub, path.len - sub, &orphans->key,
                                             &orphans->generation, &orphans->naming) == ST_OK;
    (void)snprintf(orphans->place, sizeof orphans->place, "%s%.*s", volume, (int)sub, below);
    buf_free(&path);
    return found;
}

/* When the file was stored: larder's attribute, or the time in nginx's listing. 0: not known. */
static uint64_t stored_ms(const struct json *entry)
{
    int64_t created = json_int(json_member(entry, "created"), 0);
    const char *mtime = json_text(json_member(entry, "mtime"));
    struct tm parts = {0};
    if (created > 0)
        return (uint64_t)created;
    if (!mtime || !strptime(mtime, "%a, %d %b %Y %H:%M:%S GMT", &parts))
        return 0;
    time_t seconds = timegm(&parts);
    return seconds > 0 ? (uint64_t)seconds * 1000 : 0;
}

/* Naming is not compared: where two namings of a first version give two files, the one that the
 * record does not mean stays, which is better than the other way round. */
static bool is_recorded(const struct orphans *orphans)
{
    const struct record *rec = &orphans->rec;
    bool visible = rec->state == KEY_LIVE || rec->state == KEY_UNLINKED;
    if (visible && rec->generation == orphans->generation && record_has_place(rec, orphans->place))
        return true;
    for (size_t i = 0; i < rec->garbage.count; i++)
        if (rec->garbage.list[i].generation == orphans->generation &&
            strcmp(rec->garbage.list[i].place, orphans->place) == 0)
            return true;
    return false;
}

/* True where it is being removed: file_done() follows, and lets the key go. */
static bool remove_orphan(struct orphans *orphans)
{
    struct worker *worker = orphans->worker;
    const struct ask_item item = {orphans->place, orphans->generation, orphans->naming, NULL, NULL};
    /* A walk takes hours: by now the volume may be another one, or out of the store. */
    if (!volume_erasable(volumes_state(worker->master->volumes, orphans->place)))
        return false;
    /* A write of the key under way may be about to put it into the record. */
    if (!keylock_try_quietly(worker->master->locks, &orphans->key))
        return false;
    bool removing = index_get_all(worker->master->index, &orphans->key, &orphans->rec) == ST_OK &&
                    !is_recorded(orphans) &&
                    ask_start(worker, "audit", "DELETE", &orphans->key, &item, 1, DELETE_MS,
                              file_done, orphans) == ST_OK;
    record_free(&orphans->rec);
    if (removing) {
        orphans->counts.orphans++;
        log_event(LOG_WARN, "audit", "event=orphan place=%s generation=%" PRIu64, orphans->place,
                  orphans->generation);
    } else {
        keylock_release(worker->master->locks, &orphans->key);
    }
    return removing;
}

/* True where the entry is being removed. */
static bool look_at(struct orphans *orphans, const struct json *entry)
{
    const char *name = json_text(json_member(entry, "name"));
    const char *type = json_text(json_member(entry, "type"));
    if (!name || !type || strchr(name, '/'))
        return false;
    if (strcmp(type, "directory") == 0) {
        if (depth(orphans->path) < DEPTH_MAX && !push(orphans, orphans->path, name))
            leaves_out(orphans);
        return false;
    }
    if (!find_key(orphans, name))
        return false;
    orphans->counts.files++;
    uint64_t stored = stored_ms(entry);
    const struct master *master = orphans->worker->master;
    /* What is older than the index may belong to another: a master that was started with a new,
     * empty index by mistake must not take the whole store for orphans. */
    if (stored < index_born_ms(master->index) ||
        stored + master->config->orphan_after_ms > loop_wall_ms())
        return false;
    return remove_orphan(orphans);
}

/* One file at a time: removing is rare, and the key's lock is held for it. Loops instead of calling
 * itself, as a directory may have thousands of entries. */
static void file_next(struct orphans *orphans)
{
    while (!orphans->stopped && orphans->next < json_count(orphans->listing))
        if (look_at(orphans, json_item(orphans->listing, orphans->next++)))
            return;
    json_free(orphans->listing);
    orphans->listing = NULL;
    pause_walk(orphans);
}

/* Whatever the answer was: a file that is still there is met again in the next round. */
static void file_done(void *arg, const struct ask_answer *answers UNUSED, size_t count UNUSED)
{
    struct orphans *orphans = arg;
    keylock_release(orphans->worker->master->locks, &orphans->key);
    file_next(orphans);
}

/* --- begin and end --- */

static void orphans_free(struct orphans *orphans)
{
    while (orphans->stack_count)
        free(orphans->stack[--orphans->stack_count]);
    free(orphans->stack);
    free(orphans->path);
    json_free(orphans->listing);
    buf_free(&orphans->text);
    loop_timer_free(orphans->timer);
    free(orphans);
}

static void finish(struct orphans *orphans)
{
    orphans->counts.whole = orphans->counts.whole && !orphans->stopped;
    orphans->ended(orphans->arg, &orphans->counts);
    orphans_free(orphans);
}

struct orphans *orphans_start(struct worker *worker, const uint64_t *pause_ms,
                              void (*ended)(void *arg, const struct orphans_counts *counts),
                              void *arg)
{
    struct orphans *orphans = calloc(1, sizeof *orphans);
    if (!orphans)
        return NULL;
    orphans->worker = worker;
    orphans->pause_ms = pause_ms;
    orphans->volume = SIZE_MAX; /* before the first */
    orphans->counts.whole = true;
    orphans->ended = ended;
    orphans->arg = arg;
    orphans->timer = loop_timer_new(worker->loop, walk_next, orphans);
    if (!orphans->timer) {
        free(orphans);
        return NULL;
    }
    pause_walk(orphans);
    return orphans;
}

/* What is under way ends by its own deadline; `ended` is called then. */
void orphans_stop(struct orphans *orphans)
{
    orphans->stopped = true;
    if (orphans->pausing)
        loop_timer_set(orphans->timer, 0);
}
