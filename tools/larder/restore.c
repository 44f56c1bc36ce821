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
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/backupfile.h"
#include "tools/larder/commands.h"
#include "tools/larder/indexdir.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/oldindex.h"
#include "tools/larder/progress.h"
#include "tools/larder/say.h"

struct restore {
    const char *file; /* "-": standard input */
    const char *db;
    int fd;
    struct indexdir *held; /* DIR, to the end */
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

/* Volumes may have registered themselves at a master that was started with an empty index by
 * mistake; that is no reason to keep it. Keys are. Looked for with the lock held, so that none
 * comes afterwards, and without opening the index, which would let go of the lock. */
static enum status check_keys(const struct restore *restore)
{
    bool any;
    enum status st = oldindex_has_keys(indexdir_path(restore->held), &any);
    if (st) {
        say_error("%s is there, and cannot be read as an index (%s); move it away, or give --db "
                  "another name",
                  restore->db, status_text(st));
        return st;
    }
    if (!any)
        return ST_OK;
    say_error("%s is an index that has keys; move it away, or give --db another name", restore->db);
    return ST_EXISTS;
}

static enum status hold(struct restore *restore)
{
    enum status st = indexdir_hold(&restore->held, restore->db);
    return st || indexdir_is_fresh(restore->held) ? st : check_keys(restore);
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
    indexdir_release(restore->held, st != ST_OK);
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
        struct restore restore = {.file = argv[rest], .db = db, .fd = -1};
        if (db)
            result = restore_all(&restore);
        else
            say_error("restore: --db DIR is missing: where the index is to be");
    }
    options_free(&program);
    return say_flush() ? result : EXIT_FAILED;
}
