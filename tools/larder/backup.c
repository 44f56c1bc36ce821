/*
 * larder backup: a checkpoint of a running master's index becomes a file.
 *
 *   backup_open     FILE.part is made, or, where one was left by a run that broke off, read through
 *   backup_fetch    the checkpoint is fetched, from where FILE.part ends; each block is written as
 *                   soon as it has proved to be good
 *   backup_finish   FILE.part is synced, and becomes FILE
 *
 * Whatever ends it before leaves FILE as it was, and FILE.part for the next run. What goes to
 * standard output, or to anything else that is no regular file, is written directly: it can go on
 * after a break of the connection, but cannot begin anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/checkpoint.h"
#include "common/checkpoint_fetch.h"
#include "common/options.h"
#include "common/swap.h"
#include "tools/larder/arguments.h"
#include "tools/larder/backupfile.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/progress.h"
#include "tools/larder/say.h"

struct backup {
    const char *file; /* as the operator wrote it */
    char *part;       /* FILE.part; NULL: written directly */
    int fd;
    struct checkpoint_reader *reader;
    struct progress *progress;
    bool replaying; /* what is read is in the file already */
    uint64_t keys;  /* that clients know */
    bool failed;    /* writing did; said already */
};

static enum status backup_open(struct backup *backup);
static enum status backup_fetch(struct backup *backup, const char *const *masters);
static enum status backup_finish(struct backup *backup);

/* Always ST_IO or the like, so that a caller can return it; errno is that of the failure. */
static enum status complain(struct backup *backup, const char *doing, const char *file)
{
    enum status st = status_of_errno(errno);
    say_error("could not %s %s: %s", doing, file, strerror(errno));
    backup->failed = true;
    return st;
}

static const char *target(const struct backup *backup)
{
    if (backup->part)
        return backup->part;
    return strcmp(backup->file, "-") == 0 ? "standard output" : backup->file;
}

/* --- the reader's sink --- */

static enum status take_entry(void *arg, const char *key, size_t key_len, const char *value,
                              size_t value_len)
{
    struct backup *backup = arg;
    (void)key_len;
    (void)value;
    (void)value_len;
    if (key[0] != '/')
        return ST_OK;
    backup->keys++;
    if (backup->keys % 1000 == 0)
        progress_add(backup->progress, 1000);
    return ST_OK;
}

static enum status take_block(void *arg, const char *bytes, size_t len)
{
    struct backup *backup = arg;
    while (len && !backup->replaying) {
        ssize_t n = write(backup->fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return complain(backup, "write to", target(backup));
        bytes += n;
        len -= (size_t)n;
    }
    return ST_OK;
}

static const struct checkpoint_sink sink = {NULL, take_entry, take_block};

/* --- what is there --- */

/* The next block is written where the last good one ends. */
static enum status truncate_to(struct backup *backup, uint64_t size)
{
    if (ftruncate(backup->fd, (off_t)size) != 0 || lseek(backup->fd, (off_t)size, SEEK_SET) < 0)
        return complain(backup, "shorten", target(backup));
    return ST_OK;
}

/* The master holds the snapshot no more, or what is in the file is of no use. What was written
 * directly has been read by somebody by now. */
static enum status start_over(void *arg)
{
    struct backup *backup = arg;
    backup->keys = 0;
    checkpoint_reader_reset(backup->reader);
    if (backup->part)
        return truncate_to(backup, 0);
    say_error("the master does not hold this checkpoint any more, and what went to %s cannot be "
              "taken back; begin again",
              target(backup));
    backup->failed = true;
    return ST_GONE;
}

/* Reads what a run that broke off has left, of which the last block may be cut. One that is whole,
 * or damaged, is begun anew: whoever asks for a backup wants one of now. */
static enum status resume_part(struct backup *backup)
{
    backup->replaying = true;
    enum status st = backupfile_read(backup->fd, backup->part, backup->reader);
    backup->replaying = false;
    bool damaged = st == ST_CORRUPT || st == ST_NOT_IMPLEMENTED;
    if (damaged)
        say_error("%s is left of something else, or damaged (%s); beginning anew", backup->part,
                  checkpoint_reader_fault(backup->reader));
    if (damaged || (!st && (checkpoint_reader_whole(backup->reader) ||
                            !checkpoint_reader_begun(backup->reader))))
        return start_over(backup);
    if (st)
        return st;
    checkpoint_reader_cut(backup->reader);
    return truncate_to(backup, checkpoint_reader_offset(backup->reader));
}

/* The lock is for two backups at once to one FILE, by cron say: they would write into each other's
 * blocks. O_NOFOLLOW: FILE may be in a directory where others can make links. */
static enum status open_part(struct backup *backup)
{
    if (asprintf(&backup->part, "%s.part", backup->file) < 0) {
        backup->part = NULL;
        return ST_NO_MEMORY;
    }
    backup->fd = open(backup->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (backup->fd < 0)
        return complain(backup, "write", backup->part);
    if (flock(backup->fd, LOCK_EX | LOCK_NB) == 0)
        return resume_part(backup);
    if (errno != EWOULDBLOCK)
        return complain(backup, "lock", backup->part);
    say_error("%s is in use: another backup is writing it", backup->part);
    backup->failed = true;
    return ST_LOCKED;
}

static enum status backup_open(struct backup *backup)
{
    struct stat is;
    if (strcmp(backup->file, "-") == 0) {
        backup->fd = STDOUT_FILENO;
        return ST_OK;
    }
    if (stat(backup->file, &is) != 0 || S_ISREG(is.st_mode))
        return open_part(backup);
    backup->fd = open(backup->file, O_WRONLY | O_CLOEXEC);
    return backup->fd < 0 ? complain(backup, "open", backup->file) : ST_OK;
}

/* --- the rest of it --- */

static bool is_stopped(void *arg)
{
    (void)arg;
    return interrupt_seen();
}

/* The reader knows how far it has come, so a break is gone over from there; start_over() is called
 * where the snapshot is held no more. What failed here is told here, unless a sink has told it. */
static enum status backup_fetch(struct backup *backup, const char *const *masters)
{
    struct buf why = BUF_INIT;
    const struct checkpoint_fetch fetch = {.masters = masters,
                                           .reader = backup->reader,
                                           .anew = start_over,
                                           .stopped = is_stopped,
                                           .arg = backup};
    enum status st = checkpoint_fetch(&fetch, &why);
    if (st && !backup->failed && !interrupt_seen())
        say_error("could not back up: %s", why.len ? buf_text(&why) : status_text(st));
    buf_free(&why);
    return st;
}

/* A pipe or a terminal cannot be synced, and need not be. */
static enum status backup_finish(struct backup *backup)
{
    if (fsync(backup->fd) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP)
        return complain(backup, "sync", target(backup));
    if (!backup->part)
        return ST_OK;
    if (rename(backup->part, backup->file) != 0)
        return complain(backup, "put in place", backup->file);
    enum status st = swap_sync_parent(backup->file);
    if (st)
        say_error("could not sync the directory of %s: %s", backup->file, status_text(st));
    backup->failed = backup->failed || st;
    return st;
}

static void report(const struct backup *backup)
{
    const struct checkpoint_head *head = checkpoint_reader_head(backup->reader);
    struct buf text = BUF_INIT;
    progress_number(&text, backup->keys);
    buf_adds(&text, " keys, ");
    progress_number(&text, checkpoint_reader_offset(backup->reader));
    buf_adds(&text, " bytes, the index of ");
    backupfile_when(backup->reader, &text);
    say("%s: %s at sequence %" PRIu64 "\n", backup->file, buf_text(&text), head->sequence);
    buf_free(&text);
}

static void say_interrupted(const struct backup *backup)
{
    if (backup->part)
        say_error("interrupted; what has come is in %s. Run it again within two minutes to go on",
                  backup->part);
    else
        say_error("interrupted; what went to %s is no backup", target(backup));
}

static int back_up(struct client *client, const char *file)
{
    struct backup backup = {.file = file, .fd = -1};
    enum status st = ST_NO_MEMORY;
    interrupt_watch();
    backup.reader = checkpoint_reader_new(&sink, &backup);
    backup.progress = progress_new("backing up", "keys", 0);
    if (backup.reader && backup.progress)
        st = backup_open(&backup);
    if (!st)
        st = backup_fetch(&backup, client_masters(client));
    if (!st)
        st = backup_finish(&backup);
    progress_free(backup.progress);
    if (!st && backup.part)
        report(&backup);
    else if (interrupt_seen() && st)
        say_interrupted(&backup);
    else if (st == ST_NO_MEMORY && !backup.failed)
        say_error("%s", status_text(st));
    if (backup.fd > STDERR_FILENO)
        (void)close(backup.fd);
    checkpoint_reader_free(backup.reader);
    free(backup.part);
    return st ? EXIT_FAILED : EXIT_WELL;
}

int backup_run(int argc, char **argv)
{
    char *master = NULL;
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &master, 0, 0, NULL, "URL", "the master"},
    };
    const struct option_program program = {
        "larder backup", "FILE|-",
        "Writes the index of a running master, all of it as it is at one moment, to FILE, or to\n"
        "standard output. Clients go on. FILE.part is written first, checked block by block, and\n"
        "becomes FILE when it is whole and on the disk. After an interruption the same command\n"
        "goes on where it was, if it comes within two minutes; else it begins anew.\n"
        "\n"
        "The values are not in it: they are on the volumes. 'larder restore' makes an index of it\n"
        "again, and 'larder verify --repair' brings that and the volumes together.\n"
        "Exit status: 0 the backup is whole, 1 it is not, 2 wrong usage.",
        options, sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && arguments_fit("larder backup", argc - rest, 1, 1)) {
        struct client *client = client_new(master);
        if (client)
            result = back_up(client, argv[rest]);
        client_free(client);
    }
    options_free(&program);
    return say_flush() ? result : EXIT_FAILED;
}
