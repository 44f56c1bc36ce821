/*
 * The start is a row of checks (open_all), each of which refuses with a text that says what to do:
 * a volume that serves the wrong directory, or two processes on one, would lose values silently.
 *
 * DIR stays open for as long as the process lives, and everything goes by that descriptor: another
 * disk that is mounted over its path is noticed (subvolume_look.c), and never written to.
 */
#include "volume/subvolumes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/durable.h"
#include "common/log.h"
#include "volume/digests.h"
#include "volume/identity.h"
#include "volume/path.h"
#include "volume/subvolume.h"
#include "volume/subvolume_home.h"
#include "volume/syncer.h"

/* Not changed after subvolumes_open(), but for the table. */
struct subvolumes {
    struct subvolume_home home; /* what its subvolumes are told; they point to it */
    char *dir;
    int own_fd;  /* DIR/.larder */
    int lock_fd; /* holds the lock on DIR */
    char id[IDENTITY_SIZE + 1];
    pthread_mutex_t lock; /* taken to add one to the table */
    /* Only ever added to, so that loops look one up without a lock. */
    _Atomic(struct subvolume *) table[PATH_SUBVOLUMES];
};

/* Keeps the text for people, and returns the status. */
static enum status refuse(char **error, enum status st, const char *format, ...) PRINTF_LIKE(3, 4);
static enum status refuse(char **error, enum status st, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    if (vasprintf(error, format, values) < 0)
        *error = NULL;
    va_end(values);
    return st;
}

/* What stands in the way of writing, for the operator at the start: status_text() speaks of
 * requests. errno is still that of what failed. */
static const char *reason(enum status st)
{
    if (st == ST_READ_ONLY)
        return "it is mounted read-only";
    return st == ST_IO || st == ST_NOT_FOUND ? strerror(errno) : status_text(st);
}

/* Makes DIR, its last component only: a longer path that is missing is more likely a typing error,
 * or a disk that is not mounted. */
static enum status open_dir(struct subvolumes *all, char **error)
{
    const char *dir = all->dir;
    if (mkdir(dir, 0755) && errno != EEXIST)
        return refuse(error, status_of_errno(errno), "cannot make the directory %s: %s", dir,
                      strerror(errno));
    all->home.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (all->home.dir_fd < 0)
        return refuse(error, status_of_errno(errno), "cannot open the directory %s: %s", dir,
                      strerror(errno));
    enum status st = durable_mkdir(all->home.dir_fd, ".larder");
    if (st)
        return refuse(error, st, "cannot write to %s: making .larder in it: %s", dir, reason(st));
    all->own_fd = openat(all->home.dir_fd, ".larder", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (all->own_fd < 0)
        return refuse(error, status_of_errno(errno), "cannot open %s/.larder: %s", dir,
                      strerror(errno));
    return ST_OK;
}

/* A subvolume's own .larder has an identity, but never a lock. Served as a volume, svXX would show
 * its values under other paths. */
static bool is_a_subvolume(const struct subvolumes *all)
{
    return faccessat(all->own_fd, "id", F_OK, 0) == 0 &&
           faccessat(all->own_fd, "lock", F_OK, 0) != 0;
}

/* Before anything is read that another process might be changing. */
static enum status take_lock(struct subvolumes *all, char **error)
{
    enum status st;
    if (is_a_subvolume(all))
        return refuse(error, ST_FOREIGN,
                      "%s is a subvolume (svXX) of another volume; give the directory above it",
                      all->dir);
    all->lock_fd = durable_lock(all->own_fd, "lock", &st);
    if (st == ST_LOCKED)
        return refuse(error, st, "%s is in use by another larder-volume", all->dir);
    if (st)
        return refuse(error, st, "cannot write to %s: locking .larder/lock: %s", all->dir,
                      reason(st));
    st = durable_mkdir(all->own_fd, "subvolumes");
    if (st)
        return refuse(error, st, "cannot write to %s: making .larder/subvolumes: %s", all->dir,
                      reason(st));
    all->home.records_fd = openat(all->own_fd, "subvolumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (all->home.records_fd < 0)
        return refuse(error, ST_IO, "cannot open %s/.larder/subvolumes: %s", all->dir,
                      strerror(errno));
    return ST_OK;
}

/* Subvolumes that are remembered, though the volume's own identity may be gone. */
static bool has_records(const struct subvolumes *all)
{
    bool found = false;
    int fd = openat(all->own_fd, "subvolumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        (void)close(fd);
    const struct dirent *entry;
    while (dir && !found && (entry = readdir(dir)))
        found = path_subvolume(entry->d_name, strlen(entry->d_name)) != 0;
    if (dir)
        (void)closedir(dir);
    return found;
}

/* Reads the volume's identity, or makes it on the first start. It is not a first start where
 * subvolumes are remembered: then .larder/id was lost, or this is part of another directory, and a
 * new identity would hide that. */
static enum status take_identity(struct subvolumes *all, char **error)
{
    enum status st = identity_read(all->own_fd, "id", all->id);
    if (st == ST_CORRUPT || (st == ST_NOT_FOUND && has_records(all)))
        return refuse(error, ST_FOREIGN,
                      "%s is not the directory that it was: .larder/id is %s; "
                      "restore it, or remove .larder to begin anew with the values that are there",
                      all->dir, st == ST_CORRUPT ? "damaged" : "gone");
    if (st == ST_NOT_FOUND)
        st = identity_claim(all->home.dir_fd, &all->home, "", all->id);
    if (st)
        return refuse(error, st, "cannot read or make %s/.larder/id: %s", all->dir,
                      status_text(st));
    return ST_OK;
}

/* Tries whether a file can be made. A full disk is no reason to refuse: it can still be read. The
 * file need not last. */
static enum status try_writing(const struct subvolumes *all, char **error)
{
    enum status st = durable_mkdir(all->own_fd, "tmp");
    if (!st)
        st = durable_write(all->own_fd, "tmp/start", "", 0);
    if (st && st != ST_NO_SPACE)
        return refuse(error, st, "cannot write to %s: %s", all->dir, reason(st));
    (void)unlinkat(all->own_fd, "tmp/start", 0);
    return ST_OK;
}

/* Puts the subvolumes in memory that DIR remembers, so that one that is away is noticed. A record
 * that cannot be read is refused: without it, a missing mount would look like an empty disk. */
static enum status read_records(struct subvolumes *all, char **error)
{
    for (unsigned i = 1; i < PATH_SUBVOLUMES; i++) {
        char name[PATH_SUBVOLUME_NAME], id[IDENTITY_SIZE + 1];
        path_subvolume_name(i, name);
        enum status st = identity_read(all->home.records_fd, name, id);
        if (st == ST_NOT_FOUND)
            continue;
        if (st)
            return refuse(error, st, "cannot read %s/.larder/subvolumes/%s: %s", all->dir, name,
                          status_text(st));
        struct subvolume *sub = subvolume_new(&all->home, i, id);
        if (!sub)
            return ST_NO_MEMORY;
        atomic_store(&all->table[i], sub);
    }
    return ST_OK;
}

/* In this order: the directory, then nobody else in it, then the right one, and only then anything
 * is written but .larder itself. */
static enum status open_all(struct subvolumes *all, char **error)
{
    enum status st = open_dir(all, error);
    if (!st)
        st = take_lock(all, error);
    if (!st)
        st = take_identity(all, error);
    if (!st)
        st = try_writing(all, error);
    if (!st)
        st = read_records(all, error);
    if (st)
        return st;
    struct subvolume *root = subvolume_new(&all->home, 0, all->id);
    if (!root)
        return ST_NO_MEMORY;
    atomic_store(&all->table[0], root);
    subvolumes_check(all);
    return ST_OK;
}

/* What was opened is -1 until it is, so subvolumes_free() can end whatever there is. */
enum status subvolumes_open(struct subvolumes **all, const struct subvolumes_options *options,
                            char **error)
{
    *error = NULL;
    struct subvolumes *new = calloc(1, sizeof *new);
    if (!new)
        return ST_NO_MEMORY;
    new->home = (struct subvolume_home){
        .dir_fd = -1,
        .records_fd = -1,
        .disk = options->disk,
        .reserve = options->reserve,
        .sync = options->sync,
    };
    new->own_fd = new->lock_fd = -1;
    char unique[IDENTITY_SIZE + 1];
    enum status st = durable_new_identity(unique);
    (void)snprintf(new->home.temp_prefix, sizeof new->home.temp_prefix, "%.16s", unique);
    new->dir = strdup(options->dir);
    new->home.dir = new->dir;
    new->home.syncer = syncer_new(options->disk);
    new->home.digests = digests_new();
    if (!new->dir || !new->home.syncer || !new->home.digests ||
        pthread_mutex_init(&new->lock, NULL)) {
        syncer_free(new->home.syncer);
        digests_free(new->home.digests);
        free(new->dir);
        free(new);
        return ST_NO_MEMORY;
    }
    if (!st)
        st = open_all(new, error);
    if (st) {
        subvolumes_free(new);
        return st;
    }
    *all = new;
    return ST_OK;
}

void subvolumes_free(struct subvolumes *all)
{
    if (!all)
        return;
    for (unsigned i = 0; i < PATH_SUBVOLUMES; i++)
        subvolume_free(atomic_load(&all->table[i]));
    int fds[] = {all->home.records_fd, all->lock_fd, all->own_fd, all->home.dir_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
    (void)pthread_mutex_destroy(&all->lock);
    syncer_free(all->home.syncer);
    digests_free(all->home.digests);
    free(all->dir);
    free(all);
}

const char *subvolumes_id(const struct subvolumes *all)
{
    return all->id;
}

int subvolumes_own_fd(const struct subvolumes *all)
{
    return all->own_fd;
}

struct subvolume *subvolumes_find(struct subvolumes *all, unsigned index)
{
    return index < PATH_SUBVOLUMES ? atomic_load(&all->table[index]) : NULL;
}

/* Looked for again under the lock: another may have made it meanwhile. */
struct subvolume *subvolumes_get(struct subvolumes *all, unsigned index)
{
    struct subvolume *sub = subvolumes_find(all, index);
    if (sub || index >= PATH_SUBVOLUMES)
        return sub;
    (void)pthread_mutex_lock(&all->lock);
    sub = atomic_load(&all->table[index]);
    if (!sub) {
        sub = subvolume_new(&all->home, index, "");
        if (sub)
            atomic_store(&all->table[index], sub);
    }
    (void)pthread_mutex_unlock(&all->lock);
    return sub;
}

/* Finds directories that were made since the last time, by an operator or a PUT. One that cannot be
 * put in memory is looked for again at the next check. */
static void discover(struct subvolumes *all)
{
    int fd = openat(all->home.dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            (void)close(fd);
        log_event(LOG_ERROR, "subvolume", "doing=\"list %s\" error=\"%s\"", all->dir,
                  strerror(errno));
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        unsigned index = path_subvolume(entry->d_name, strlen(entry->d_name));
        if (index != 0 && !subvolumes_get(all, index))
            log_event(LOG_ERROR, "subvolume", "subvolume=\"%s\" error=\"out of memory\"",
                      entry->d_name);
    }
    (void)closedir(dir);
}

/* Without check_lock's wait: this is called every second, and must not pile up before a disk that
 * hangs. */
void subvolumes_check(struct subvolumes *all)
{
    discover(all);
    for (unsigned i = 0; i < PATH_SUBVOLUMES; i++) {
        struct subvolume *sub = subvolumes_find(all, i);
        if (sub)
            subvolume_check(sub, false);
    }
}

void subvolumes_each(struct subvolumes *all, void (*fn)(void *arg, struct subvolume *sub),
                     void *arg)
{
    for (unsigned i = 0; i < PATH_SUBVOLUMES; i++) {
        struct subvolume *sub = subvolumes_find(all, i);
        if (sub)
            fn(arg, sub);
    }
}
