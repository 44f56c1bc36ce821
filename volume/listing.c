/*
 * The form is that of nginx's autoindex_format json, so that whoever reads nginx's volumes reads
 * these: minikeyvalue's rebuild, for one. Memory is bounded by a run of entries. What is made or
 * removed while the directory is read may be in it or not, as readdir(3) has it.
 *
 * A walk over a whole volume meets directories of a few files each, and asking for one costs more
 * than its files do. So with LISTING_BELOW a directory's entry holds its own listing, one level
 * deep, where that is cheap: as long as the answer has few entries yet, and has not taken long. It
 * is a courtesy, so whatever is in its way (a link, a directory that cannot be read) only leaves it
 * out: whoever wants to know asks for that directory itself.
 */
#include "volume/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/grow.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "volume/date.h"
#include "volume/disk.h"
#include "volume/subvolume.h"

enum {
    RUN_ENTRIES = 8192,      /* read and sorted at once; a larger directory comes in sorted runs */
    PIECE_BYTES = 64 * 1024, /* a piece ends with the entry that makes it so long */
    BELOW_ENTRIES = 4096,    /* an answer with so many shows no further directory's own */
    BELOW_MS = 500           /* nor one that is so old: its reader has a deadline, disks are slow */
};

enum kind { KIND_DIRECTORY, KIND_FILE, KIND_OTHER };

struct entry {
    size_t name; /* where it begins in the run's names */
    enum kind kind;
};

/* An open directory, and as much of it as is read. The memory stays for the next one. */
struct level {
    DIR *dir;          /* NULL: none is open */
    struct entry *run; /* grows up to RUN_ENTRIES: most directories have a few */
    struct buf names;  /* of the run, each with its NUL */
    size_t room;       /* entries that the run could hold */
    size_t count;      /* entries in it */
    size_t next;       /* whose text comes next */
    bool last_run;
    bool any; /* entry has been written: a comma is due before the next */
};

struct listing {
    const struct store_at *at; /* the caller's */
    struct subvolume *sub;
    enum listing_form form;
    struct level outer, inner; /* the directory; the one in it whose listing its entry holds */
    bool begun;                /* the head of the text is out */
    uint64_t entries;          /* that were written, of both levels */
    uint64_t since_ms;         /* when the listing was begun */
};

/* What is told of an entry, as it is found when its turn has come. */
struct seen {
    enum kind kind;
    time_t modified;
    uint64_t size;                      /* bytes; means something for files only, */
    struct store_attributes attributes; /* and so do these, where they are asked for */
};

/* -1 and *st. A link to a directory is followed here, as when values are served from below it. */
static int open_directory(const struct store_at *at, struct subvolume **sub, enum status *st)
{
    int root = store_enter(at, SUBVOLUME_READ, sub, st);
    if (root < 0)
        return -1;
    const struct disk *disk = subvolume_disk(*sub);
    int fd = disk->open(root, at->file[0] ? at->file : ".", O_RDONLY | O_DIRECTORY, 0);
    int err = fd < 0 ? errno : 0;
    (void)disk->close(root);
    if (err == ENOENT || err == ENOTDIR || err == ELOOP || err == ENAMETOOLONG)
        *st = ST_NOT_FOUND;
    else if (err)
        *st = subvolume_error(*sub, at->request, "open", at->file, err);
    return fd;
}

/* Takes `fd` over, also where it fails. */
static enum status enter(struct level *level, int fd)
{
    level->dir = fdopendir(fd);
    if (!level->dir) {
        (void)close(fd);
        return ST_NO_MEMORY;
    }
    level->count = level->next = 0;
    level->last_run = level->any = false;
    return ST_OK;
}

static void leave(struct level *level)
{
    if (level->dir)
        (void)closedir(level->dir);
    level->dir = NULL;
}

static void level_free(struct level *level)
{
    leave(level);
    free(level->run);
    buf_free(&level->names);
}

enum status listing_begin(struct listing **listing, const struct store_at *at,
                          enum listing_form form)
{
    enum status st = ST_NO_MEMORY;
    struct listing *l = calloc(1, sizeof *l);
    if (!l)
        return ST_NO_MEMORY;
    l->at = at;
    l->form = form;
    l->since_ms = loop_now_ms();
    int fd = open_directory(at, &l->sub, &st);
    if (fd >= 0)
        st = enter(&l->outer, fd);
    if (fd < 0 || st) {
        listing_free(l);
        return st;
    }
    *listing = l;
    return ST_OK;
}

void listing_free(struct listing *l)
{
    if (!l)
        return;
    level_free(&l->outer);
    level_free(&l->inner);
    free(l);
}

/* --- Reading a run --- */

static const char *name_of(const struct level *level, const struct entry *entry)
{
    return level->names.data + entry->name;
}

static enum kind kind_of(const struct stat *is)
{
    return S_ISDIR(is->st_mode) ? KIND_DIRECTORY : S_ISREG(is->st_mode) ? KIND_FILE : KIND_OTHER;
}

/* Whether a link leads to a directory: of that is spoken then. One that leads nowhere does not.
 * ST_IO where it cannot be seen, since who walks here would go on without all that is below it. The
 * disk that it leads to is another one, so this one is not said to have failed. */
static enum status follow_link(const struct listing *l, int dir, const char *name, struct stat *is)
{
    const struct disk *disk = subvolume_disk(l->sub);
    struct stat target;
    int fd = disk->open(dir, name, O_PATH | O_DIRECTORY, 0);
    int err = fd < 0 || disk->stat(fd, &target) ? errno : 0;
    if (fd >= 0)
        (void)disk->close(fd);
    if (!err)
        *is = target;
    if (!err || err == ENOENT || err == ENOTDIR || err == ELOOP || err == ENAMETOOLONG)
        return ST_OK;
    log_event(LOG_WARN, "listing",
              "request=%s path=\"%s\" error=\"%s\" advice=\"a link in this directory cannot be "
              "followed: is its disk mounted, and readable?\"",
              l->at->request, l->at->file, strerror(err));
    return ST_IO;
}

/* A link to a directory is one (a disk may be put in its place so); any other is not followed, as
 * it would not be served. ST_NOT_FOUND where the entry is gone. */
static enum status look(struct listing *l, int dir, const char *name, struct stat *is)
{
    if (subvolume_disk(l->sub)->stat_at(dir, name, is))
        return errno == ENOENT
                   ? ST_NOT_FOUND
                   : subvolume_error(l->sub, l->at->request, "stat", l->at->file, errno);
    return S_ISLNK(is->st_mode) ? follow_link(l, dir, name, is) : ST_OK;
}

/* What it is decides about the order. Most file systems say so with the name. */
static enum status find_kind(struct listing *l, int dir, const struct dirent *found,
                             enum kind *kind)
{
    struct stat is;
    enum status st = ST_OK;
    if (found->d_type == DT_REG) {
        *kind = KIND_FILE;
    } else if (found->d_type == DT_DIR) {
        *kind = KIND_DIRECTORY;
    } else {
        st = look(l, dir, found->d_name, &is);
        *kind = st ? KIND_OTHER : kind_of(&is);
    }
    return st;
}

/* Adds what is there; one that is gone by now is no error. */
static enum status add_entry(struct listing *l, struct level *level, const struct dirent *found)
{
    struct entry *run = grow_list(level->run, level->count, &level->room, sizeof level->run[0]);
    if (!run)
        return ST_NO_MEMORY;
    level->run = run;
    struct entry *entry = &run[level->count];
    enum status st = find_kind(l, dirfd(level->dir), found, &entry->kind);
    if (st)
        return st == ST_NOT_FOUND ? ST_OK : st;
    entry->name = level->names.len;
    buf_add(&level->names, found->d_name, strlen(found->d_name) + 1);
    if (!buf_ok(&level->names))
        return ST_NO_MEMORY;
    level->count++;
    return ST_OK;
}

/* nginx's order: directories first, then by the bytes of the name. */
static int compare(const void *a, const void *b, void *level)
{
    const struct entry *x = a, *y = b;
    if ((x->kind == KIND_DIRECTORY) != (y->kind == KIND_DIRECTORY))
        return x->kind == KIND_DIRECTORY ? -1 : 1;
    return strcmp(name_of(level, x), name_of(level, y));
}

/* Reads as many entries as a run holds, and sorts them. Names that begin with a dot are not shown,
 * as by nginx; .larder is one of them. */
static enum status read_run(struct listing *l, struct level *level)
{
    enum status st = ST_OK;
    level->count = level->next = 0;
    buf_clear(&level->names);
    while (!st && level->count < RUN_ENTRIES) {
        errno = 0;
        const struct dirent *found = readdir(level->dir);
        if (!found && errno)
            return subvolume_error(l->sub, l->at->request, "readdir", l->at->file, errno);
        if (!found) {
            level->last_run = true;
            break;
        }
        if (found->d_name[0] != '.')
            st = add_entry(l, level, found);
    }
    if (level->count)
        qsort_r(level->run, level->count, sizeof level->run[0], compare, level);
    return st;
}

/* --- Looking at an entry --- */

static void take_stat(const struct stat *is, struct seen *seen)
{
    seen->kind = kind_of(is);
    seen->modified = is->st_mtime;
    seen->size = (uint64_t)is->st_size;
}

/* By its name alone. */
static enum status see_name(struct listing *l, int dir, const char *name, struct seen *seen)
{
    struct stat is;
    enum status st = look(l, dir, name, &is);
    if (!st)
        take_stat(&is, seen);
    return st;
}

/* Size and attributes of one file, whatever takes its name meanwhile. Opened without following a
 * link and without waiting for a pipe's other end: the entry may have become something else since
 * the directory was read. */
static enum status see_value(struct listing *l, int dir, const char *name, struct seen *seen)
{
    const struct disk *disk = subvolume_disk(l->sub);
    struct stat is;
    enum status st = ST_OK;
    int fd = disk->open(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0 && (errno == ENOENT || errno == ELOOP))
        return see_name(l, dir, name, seen);
    if (fd < 0)
        return subvolume_error(l->sub, l->at->request, "open", name, errno);
    if (disk->stat(fd, &is))
        st = subvolume_error(l->sub, l->at->request, "stat", name, errno);
    if (!st)
        take_stat(&is, seen);
    if (!st && seen->kind == KIND_FILE)
        st = store_read_attributes(l->sub, fd, l->at, &seen->attributes);
    (void)disk->close(fd);
    return st;
}

/* --- Writing the text --- */

static void add_meta(const struct store_attributes *attributes, struct buf *out)
{
    if (attributes->md5[0])
        buf_addf(out, ", \"md5\":\"%s\"", attributes->md5);
    if (attributes->created)
        buf_addf(out, ", \"created\":%" PRIu64, attributes->created);
    if (attributes->unlinked)
        buf_adds(out, ", \"unlinked\":true");
    if (attributes->has_size)
        buf_addf(out, ", \"expected\":%" PRIu64, attributes->size);
}

/* The root of a subvolume has other subvolumes in it, it may be: those are other disks, whose
 * errors are not this one's. */
static bool may_show_below(const struct listing *l, const struct level *level)
{
    return l->form == LISTING_BELOW && level == &l->outer && l->at->file[0] &&
           l->entries < BELOW_ENTRIES && loop_now_ms() - l->since_ms < BELOW_MS;
}

/* Opens the directory's own listing. The first run is read before anything is written of it, so
 * that one that cannot be read is merely not shown. */
static void begin_below(struct listing *l, const char *name, struct buf *out)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    int fd = subvolume_disk(l->sub)->open(dirfd(l->outer.dir), name, flags, 0);
    if (fd < 0 || enter(&l->inner, fd))
        return;
    if (read_run(l, &l->inner))
        leave(&l->inner);
    else
        buf_adds(out, ", \"below\":[\r\n");
}

static void end_below(struct listing *l, struct buf *out)
{
    buf_adds(out, "\r\n] }");
    leave(&l->inner);
}

/* One entry, as nginx writes it, but for the brace at its end. What is asked for beyond comes
 * behind what nginx has. */
static void add_seen(struct listing *l, struct level *level, const char *name,
                     const struct seen *seen, struct buf *out)
{
    static const char *const kinds[] = {"directory", "file", "other"};
    char date[DATE_SIZE];
    date_format(seen->modified, date);
    buf_adds(out, level->any ? ",\r\n{ \"name\":" : "{ \"name\":");
    json_add_string(out, name, strlen(name));
    buf_addf(out, ", \"type\":\"%s\", \"mtime\":\"%s\"", kinds[seen->kind], date);
    if (seen->kind == KIND_FILE)
        buf_addf(out, ", \"size\":%" PRIu64, seen->size);
    if (seen->kind == KIND_FILE && l->form != LISTING_PLAIN)
        add_meta(&seen->attributes, out);
    level->any = true;
    l->entries++;
}

/* Nothing is written of an entry that is gone by now. */
static enum status add_text(struct listing *l, struct level *level, const struct entry *entry,
                            struct buf *out)
{
    const char *name = name_of(level, entry);
    int dir = dirfd(level->dir);
    struct seen seen = {.attributes = {.has_size = false}};
    enum status st = entry->kind == KIND_FILE && l->form != LISTING_PLAIN
                         ? see_value(l, dir, name, &seen)
                         : see_name(l, dir, name, &seen);
    if (st)
        return st == ST_NOT_FOUND ? ST_OK : st;
    add_seen(l, level, name, &seen, out);
    if (seen.kind == KIND_DIRECTORY && may_show_below(l, level))
        begin_below(l, name, out);
    if (!l->inner.dir || level == &l->inner)
        buf_adds(out, " }");
    return ST_OK;
}

/* Runs are read as they are needed, so a piece may hold the end of one and the beginning of the
 * next. */
enum status listing_next(struct listing *l, struct buf *out, bool *more)
{
    enum status st = ST_OK;
    if (!l->begun)
        buf_adds(out, "[\r\n");
    l->begun = true;
    *more = true;
    while (!st && *more && out->len < PIECE_BYTES) {
        struct level *level = l->inner.dir ? &l->inner : &l->outer;
        if (level->next < level->count)
            st = add_text(l, level, &level->run[level->next++], out);
        else if (!level->last_run)
            st = read_run(l, level);
        else if (level == &l->inner)
            end_below(l, out);
        else
            *more = false;
    }
    if (!st && !*more)
        buf_adds(out, l->outer.any ? "\r\n]" : "]");
    return st ? st : buf_ok(out) ? ST_OK : ST_NO_MEMORY;
}
