/*
 * Reads an index without changing a byte in its directory. The trap: opening a
 * LevelDB replays its log, writes new files and removes old ones, even where nobody writes to it;
 * an old index that could not be opened for good any more would be the end of the way back. So a
 * shadow is opened instead. Tables are never changed once they are written, so links will do for
 * them, and the shadow costs no space.
 *
 * The caller holds the lock of the index: nobody writes while it is copied.
 */
#include "tools/larder/oldindex.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json.h"
#include "common/ldb.h"

/* Of keys (master/index_state.h): a volume, the rest is its name; work to do, the rest is a key. */
#define VOLUME_PREFIX "!v"
#define WORK_PREFIX   "!w"

/* --- the shadow --- */

/* A name that is nothing but the suffix is none. */
static bool ends_with(const char *name, const char *suffix)
{
    size_t len = strlen(name);
    size_t tail = strlen(suffix);
    return len > tail && strcmp(name + len - tail, suffix) == 0;
}

/* In the kernel; these files are small. */
static enum status copy_bytes(int from, int to)
{
    ssize_t n;
    do
        n = sendfile(to, from, NULL, 1 << 20);
    while (n > 0 || (n < 0 && errno == EINTR));
    return n < 0 ? status_of_errno(errno) : ST_OK;
}

/* O_EXCL: the shadow was just made, and is empty. */
static enum status copy_file(int from_dir, int to_dir, const char *name)
{
    int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
    int to = from < 0 ? -1 : openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    enum status st = to < 0 ? status_of_errno(errno) : copy_bytes(from, to);
    if (from >= 0)
        (void)close(from);
    if (to >= 0)
        (void)close(to);
    return st;
}

/* Tables are linked, where the file system can. LevelDB replaces its other files, or appends to
 * them, so those are copied; its lock and its diary are its own. */
static enum status shadow_file(int from_dir, int to_dir, const char *name)
{
    if (name[0] == '.' || strcmp(name, "LOCK") == 0 || strncmp(name, "LOG", 3) == 0)
        return ST_OK;
    bool table = ends_with(name, ".ldb") || ends_with(name, ".sst");
    if (table && linkat(from_dir, name, to_dir, name, 0) == 0)
        return ST_OK;
    return copy_file(from_dir, to_dir, name);
}

static enum status shadow_list(DIR *list, const char *shadow)
{
    int to_dir = open(shadow, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to_dir < 0)
        return status_of_errno(errno);
    enum status st = ST_OK;
    const struct dirent *entry;
    while (!st && (entry = readdir(list)))
        st = shadow_file(dirfd(list), to_dir, entry->d_name);
    (void)close(to_dir);
    return st;
}

/* The first file that fails ends it: a shadow with a part missing could look like another index. */
static enum status shadow_files(const char *dir, const char *shadow)
{
    DIR *list = opendir(dir);
    if (!list)
        return status_of_errno(errno);
    enum status st = shadow_list(list, shadow);
    (void)closedir(list);
    return st;
}

/* --- reading it --- */

/* A copy of it, at the end. */
static enum status add_text(struct option_list *list, const char *text, size_t len)
{
    char *copy = strndup(text, len);
    char **more = realloc((void *)list->items, (list->count + 1) * sizeof(char *));
    if (more)
        list->items = more;
    if (!copy || !more) {
        free(copy);
        return ST_NO_MEMORY;
    }
    more[list->count++] = copy;
    return ST_OK;
}

/* The value is JSON; one without an address is a volume that is reached at its name. In case of
 * failure the lists may differ in length by one, and are the caller's to free only. */
static enum status add_volume(struct oldindex_volumes *volumes, const char *name, size_t len,
                              const char *value, size_t value_len)
{
    struct json *json = json_parse(value, value_len, NULL);
    const char *address = json_text(json_member(json, "address"));
    enum status st =
        add_text(&volumes->addresses, address ? address : name, address ? strlen(address) : len);
    if (!st)
        st = add_text(&volumes->names, name, len);
    json_free(json);
    return st;
}

/* Names come in order, and each once, as they are keys of the index. */
static enum status read_volumes(struct ldb *db, void *to)
{
    struct oldindex_volumes *volumes = to;
    static const size_t prefix = sizeof VOLUME_PREFIX - 1;
    struct ldb_iter *iter = ldb_iter_new(db);
    if (!iter)
        return ST_NO_MEMORY;
    enum status st = ST_OK;
    ldb_iter_seek(iter, VOLUME_PREFIX, prefix);
    for (; !st && ldb_iter_valid(iter); ldb_iter_next(iter)) {
        size_t len, value_len;
        const char *key = ldb_iter_key(iter, &len);
        const char *value = ldb_iter_value(iter, &value_len);
        if (len < prefix || memcmp(key, VOLUME_PREFIX, prefix) != 0)
            break;
        st = add_volume(volumes, key + prefix, len - prefix, value, value_len);
    }
    if (!st)
        st = ldb_iter_status(iter);
    ldb_iter_free(iter);
    return st;
}

static void free_list(struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free((void *)list->items);
}

void oldindex_volumes_free(struct oldindex_volumes *volumes)
{
    free_list(&volumes->names);
    free_list(&volumes->addresses);
}

/* *any: it has a key, or work to do for one. */
static enum status look_for_keys(struct ldb *db, void *to)
{
    bool *any = to;
    struct ldb_iter *iter = ldb_iter_new(db);
    if (!iter)
        return ST_NO_MEMORY;
    size_t len;
    ldb_iter_seek(iter, "/", 1);
    *any = ldb_iter_valid(iter) && ldb_iter_key(iter, &len)[0] == '/';
    ldb_iter_seek(iter, WORK_PREFIX, sizeof WORK_PREFIX - 1);
    *any = *any || (ldb_iter_valid(iter) &&
                    memcmp(ldb_iter_key(iter, &len), WORK_PREFIX, sizeof WORK_PREFIX - 1) == 0);
    enum status st = ldb_iter_status(iter);
    ldb_iter_free(iter);
    return st;
}

/* May replay the copied log, which is why it is a copy. */
static enum status read_shadow(const char *shadow, enum status (*read)(struct ldb *db, void *to),
                               void *to)
{
    const struct ldb_options options = {0};
    struct ldb *db;
    enum status st = ldb_open(&db, shadow, &options, NULL);
    if (!st)
        st = read(db, to);
    else if (st == ST_NOT_FOUND)
        st = ST_CORRUPT; /* there are files of an index, but no whole one */
    ldb_close(db);
    return st;
}

/* Removes the shadow of this run, or of one that was killed. Only what shadow_file() makes and what
 * LevelDB does is in it, all of it plain files. */
static void remove_shadow(const char *shadow)
{
    DIR *list = opendir(shadow);
    if (!list)
        return;
    const struct dirent *entry;
    while ((entry = readdir(list)))
        (void)unlinkat(dirfd(list), entry->d_name, 0);
    (void)closedir(list);
    (void)rmdir(shadow);
}

static enum status read_index(const char *dir, enum status (*read)(struct ldb *db, void *to),
                              void *to)
{
    struct stat there;
    char *shadow = NULL;
    if (stat(dir, &there) != 0)
        return status_of_errno(errno);
    if (asprintf(&shadow, "%s.rebuild-old", dir) < 0)
        return ST_NO_MEMORY;
    remove_shadow(shadow);
    enum status st = mkdir(shadow, 0755) == 0 ? ST_OK : status_of_errno(errno);
    if (!st)
        st = shadow_files(dir, shadow);
    if (!st)
        st = read_shadow(shadow, read, to);
    remove_shadow(shadow);
    free(shadow);
    return st;
}

enum status oldindex_read(const char *dir, struct oldindex_volumes *volumes)
{
    return read_index(dir, read_volumes, volumes);
}

enum status oldindex_has_keys(const char *dir, bool *any)
{
    *any = false;
    return read_index(dir, look_for_keys, any);
}
