/*
 * larder restore: an index of a backup.
 *
 *   restore_hold     DIR is free, empty, or an index without any key, which nobody uses; it is
 *                    locked, and so made where it is not there: no master, no other restore begins
 *   restore_read     the backup's entries go into a fresh index beside it
 *   restore_finish   that is synced, read back, and takes the place of DIR
 *
 * Whatever fails or interrupts before the end leaves DIR as it was.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/checkpoint.h"
#include "common/checkpoint_load.h"
#include "common/ldb.h"
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/backupfile.h"
#include "tools/larder/commands.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/progress.h"
#include "tools/larder/say.h"

struct restore {
    const char *file; /* "-": standard input */
    const char *db;
    int fd;
    int lock;   /* descriptor that holds the lock of DIR, or -1 */
    bool made;  /* DIR was not there, */
    bool fresh; /* or had nothing in it: what is in it now is the lock */
    struct checkpoint_load *load;
    struct checkpoint_reader *reader;
    struct progress *progress;
    uint64_t size; /* of the file; 0: not known */
    uint64_t keys;
};

static enum status restore_hold(struct restore *restore);
static enum status restore_read(struct restore *restore);
static enum status restore_finish(struct restore *restore);

/* --- DIR --- */

/* *any: it has a key, or work to do for one. Volumes may have registered themselves at a master
 * that was started with an empty index by mistake; that is no reason to keep it. */
static enum status look_for_keys(struct ldb *db, bool *any)
{
    struct ldb_iter *iter = ldb_iter_new(db);
    if (!iter)
        return ST_NO_MEMORY;
    size_t len;
    ldb_iter_seek(iter, "/", 1);
    *any = ldb_iter_valid(iter) && ldb_iter_key(iter, &len)[0] == '/';
    ldb_iter_seek(iter, "!w", 2);
    *any = *any || (ldb_iter_valid(iter) && memcmp(ldb_iter_key(iter, &len), "!w", 2) == 0);
    enum status st = ldb_iter_status(iter);
    ldb_iter_free(iter);
    return st;
}

static enum status refuse_index(const struct restore *restore, enum status st, const char *why)
{
    if (st == ST_EXISTS)
        say_error("%s is an index that has keys; move it away, or give --db another name",
                  restore->db);
    else if (st == ST_LOCKED)
        say_error("the index %s is in use: stop its master first, or wait for the end of the "
                  "other restore",
                  restore->db);
    else
        say_error("%s is there, and cannot be read as an index (%s); move it away, or give --db "
                  "another name",
                  restore->db, why ? why : status_text(st));
    return st;
}

static char *lock_path(const struct restore *restore)
{
    char *path = NULL;
    return asprintf(&path, "%s/LOCK", restore->db) < 0 ? NULL : path;
}

/* The lock that LevelDB itself takes: no master starts here meanwhile. One whose name has gone, or
 * is another file's, was given up by another restore just now. */
static enum status lock_index(struct restore *restore)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat named;
    struct stat held;
    char *path = lock_path(restore);
    if (!path)
        return ST_NO_MEMORY;
    restore->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    int why = restore->lock < 0 ? errno : 0;
    bool locked = !why && fcntl(restore->lock, F_SETLK, &lock) == 0 &&
                  fstat(restore->lock, &held) == 0 && stat(path, &named) == 0 &&
                  held.st_ino == named.st_ino;
    free(path);
    if (why)
        return refuse_index(restore, status_of_errno(why), strerror(why));
    if (locked)
        return ST_OK;
    (void)close(restore->lock); /* another's, so it is not ours to remove */
    restore->lock = -1;
    return refuse_index(restore, ST_LOCKED, NULL);
}

/* After a failure DIR is what it was. */
static void unlock(struct restore *restore, bool failed)
{
    char *path = restore->lock >= 0 && failed && restore->fresh ? lock_path(restore) : NULL;
    if (path && unlink(path) == 0 && restore->made)
        (void)rmdir(restore->db);
    free(path);
    if (restore->lock >= 0)
        (void)close(restore->lock);
}

static bool has_current(const char *dir)
{
    char *path = NULL;
    bool has = asprintf(&path, "%s/CURRENT", dir) > 0 && access(path, F_OK) == 0;
    free(path);
    return has;
}

static enum status hold_index(struct restore *restore)
{
    const struct ldb_options options = {.create = false};
    struct ldb *db = NULL;
    char *why = NULL;
    bool any = false;
    enum status st = has_current(restore->db) ? ldb_open(&db, restore->db, &options, &why)
                                              : ST_NOT_FOUND; /* LevelDB leaves files even so */
    if (!st)
        st = look_for_keys(db, &any);
    if (!st && any)
        st = ST_EXISTS;
    ldb_close(db);
    if (st)
        (void)refuse_index(restore, st, why);
    free(why);
    return st ? st : lock_index(restore);
}

/* Whether there is nothing in DIR but a lock, which is also what a restore that was killed leaves;
 * DIR may have been made beforehand, by a package or for a mount. False also where it is no
 * directory that can be read: errno says so, else it is 0. */
static bool is_fresh(const char *dir)
{
    DIR *list = opendir(dir);
    if (!list)
        return false;
    errno = 0;
    size_t others = 0;
    const struct dirent *entry;
    while ((entry = readdir(list)))
        others += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                  strcmp(entry->d_name, "LOCK") != 0;
    int why = errno;
    (void)closedir(list);
    errno = why;
    return others == 0 && !why;
}

/* Looked at again under the lock: a master may have begun, and ended, before it was there. */
static enum status hold_fresh(struct restore *restore)
{
    enum status st = lock_index(restore);
    if (!st && !is_fresh(restore->db)) {
        restore->fresh = restore->made = false;
        st = refuse_index(restore, ST_LOCKED, NULL);
    }
    return st;
}

static enum status hold(struct restore *restore)
{
    restore->made = mkdir(restore->db, 0755) == 0;
    if (!restore->made && errno != EEXIST) {
        int why = errno;
        say_error("could not make %s: %s", restore->db, strerror(why));
        return status_of_errno(why);
    }
    restore->fresh = is_fresh(restore->db);
    if (restore->fresh)
        return hold_fresh(restore);
    return errno ? refuse_index(restore, status_of_errno(errno), strerror(errno))
                 : hold_index(restore);
}

static enum status restore_hold(struct restore *restore)
{
    struct buf why = BUF_INIT;
    enum status st = hold(restore);
    if (!st)
        st = checkpoint_load_begin(&restore->load, restore->db, CHECKPOINT_LOAD_RESTORE, &why);
    if (why.len)
        say_error("%s", buf_text(&why));
    buf_free(&why);
    return st;
}

/* --- the backup --- */

static enum status take_head(void *arg, const struct checkpoint_head *head)
{
    const struct restore *restore = arg;
    return checkpoint_load_sink.head(restore->load, head);
}

static enum status take_entry(void *arg, const char *key, size_t key_len, const char *value,
                              size_t value_len)
{
    struct restore *restore = arg;
    if (key[0] == '/' && ++restore->keys % 1000 == 0)
        progress_add(restore->progress, 1000);
    return checkpoint_load_sink.entry(restore->load, key, key_len, value, value_len);
}

static enum status take_block(void *arg, const char *bytes, size_t len)
{
    struct restore *restore = arg;
    (void)bytes;
    if (restore->size)
        progress_advance(restore->progress, (double)len / (double)restore->size);
    return ST_OK;
}

/* Behind our own sink stands the one of the load, which writes; ours only counts. */
static const struct checkpoint_sink sink = {take_head, take_entry, take_block};

/* As people know it. */
static const char *source(const struct restore *restore)
{
    return strcmp(restore->file, "-") == 0 ? "standard input" : restore->file;
}

static enum status open_backup(struct restore *restore)
{
    struct stat is;
    bool stdin_is_it = strcmp(restore->file, "-") == 0;
    restore->fd = stdin_is_it ? STDIN_FILENO : open(restore->file, O_RDONLY | O_CLOEXEC);
    if (restore->fd < 0) {
        say_error("could not open %s: %s", restore->file, strerror(errno));
        return status_of_errno(errno);
    }
    if (fstat(restore->fd, &is) == 0 && S_ISREG(is.st_mode))
        restore->size = (uint64_t)is.st_size;
    return ST_OK;
}

/* Once for each failure: what reading says by itself (backupfile_read) is not said again here, nor
 * is a signal. */
static void explain(const struct restore *restore, enum status st)
{
    struct buf why = BUF_INIT;
    if (st == ST_CORRUPT || st == ST_NOT_IMPLEMENTED)
        say_error("%s is no backup, or a damaged one: %s. Nothing was restored", source(restore),
                  checkpoint_reader_fault(restore->reader));
    else if (!checkpoint_load_explain(restore->load, st, &why))
        say_error("%s ends in the middle, after %" PRIu64
                  " keys: the backup broke off, or was cut. "
                  "Nothing was restored",
                  source(restore), restore->keys);
    else if (st != ST_CLOSED)
        say_error("%s", buf_text(&why));
    buf_free(&why);
}

static enum status restore_read(struct restore *restore)
{
    restore->reader = checkpoint_reader_new(&sink, restore);
    restore->progress = progress_new("restoring", "keys", 0);
    enum status st = ST_NO_MEMORY;
    if (restore->reader && restore->progress)
        st = open_backup(restore);
    if (!st) {
        st = backupfile_read(restore->fd, source(restore), restore->reader);
        if (st || !checkpoint_reader_whole(restore->reader)) {
            explain(restore, st);
            st = st ? st : ST_CORRUPT;
        }
    }
    progress_free(restore->progress);
    return st;
}

/* The last look for a signal is before the swap: from there on the index is in place, and to say
 * that it is not would be wrong. */
static enum status restore_finish(struct restore *restore)
{
    struct buf why = BUF_INIT;
    enum status st = checkpoint_load_finish(restore->load, &why);
    if (!st && interrupt_seen())
        st = ST_CLOSED;
    if (!st)
        st = checkpoint_load_swap(restore->db, &why);
    if (st && st != ST_CLOSED)
        say_error("%s", why.len ? buf_text(&why) : status_text(st));
    buf_free(&why);
    return st;
}

/* --- all of it --- */

static void report(const struct restore *restore)
{
    struct buf text = BUF_INIT;
    progress_number(&text, restore->keys);
    buf_adds(&text, " keys, as of ");
    backupfile_when(restore->reader, &text);
    say("The index in %s has %s.\n"
        "Start its master; it serves reads, and refuses writes until 'larder verify --repair' has\n"
        "brought index and volumes together.\n",
        restore->db, buf_text(&text));
    buf_free(&text);
}

/* The lock on DIR is held up to the end; it goes with its descriptor, after the swap. */
static int restore_all(struct restore *restore)
{
    interrupt_watch();
    enum status st = restore_hold(restore);
    if (!st)
        st = restore_read(restore);
    if (!st)
        st = restore_finish(restore);
    if (!st)
        report(restore);
    else if (interrupt_seen())
        say_error("interrupted; nothing was restored");
    else if (st == ST_NO_MEMORY)
        say_error("%s", status_text(st));
    checkpoint_reader_free(restore->reader);
    checkpoint_load_free(restore->load);
    if (restore->fd > STDERR_FILENO)
        (void)close(restore->fd);
    unlock(restore, st);
    return st ? EXIT_FAILED : EXIT_WELL;
}

int restore_run(int argc, char **argv)
{
    char *db = NULL;
    const struct option_spec options[] = {
        {"db", 'd', OPTION_TEXT, &db, 0, 0, NULL, "DIR", "the index directory (required)"},
    };
    const struct option_program program = {
        "larder restore", "FILE|- --db DIR",
        "Makes the index DIR of a backup; '-' is standard input. Every block is checked, and the "
        "new\n"
        "index read back, before it takes the place of DIR, which may be missing, empty, or an\n"
        "index without keys, but nothing else. May be interrupted at any time, and begun again.\n"
        "\n"
        "Then start the master on it, and run 'larder verify --repair': until that has brought "
        "the\n"
        "index and the volumes together, the master serves reads only.\n"
        "Exit status: 0 the index is in place, 1 it is not, 2 wrong usage.",
        options, sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && arguments_fit("larder restore", argc - rest, 1, 1)) {
        struct restore restore = {.file = argv[rest], .db = db, .fd = -1, .lock = -1};
        if (db)
            result = restore_all(&restore);
        else
            say_error("restore: --db DIR is missing: where the index is to be");
    }
    options_free(&program);
    return say_flush() ? result : EXIT_FAILED;
}
