/*
 * The form is that of nginx's autoindex_format json, so that whoever reads nginx's volumes reads
 * these: minikeyvalue's rebuild, for one. Memory is bounded by a run of entries. What is made or
 * removed while the directory is read may be in it or not, as readdir(3) has it.
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
#include "volume/date.h"
#include "volume/disk.h"
#include "volume/subvolume.h"

/* So many entries are read and sorted at once: a directory that is larger comes in sorted runs. A
 * piece ends with the entry that makes it so long. */
enum { RUN_ENTRIES = 8192, PIECE_BYTES = 64 * 1024 };

enum kind { KIND_DIRECTORY, KIND_FILE, KIND_OTHER };

struct entry {
    char *name; /* the run's */
    enum kind kind;
    time_t modified;
    uint64_t size; /* bytes; means something for files only */
};

struct listing {
    const struct store_at *at; /* the caller's */
    struct subvolume *sub;
    bool meta;
    DIR *dir;
    struct entry *run;  /* grows up to RUN_ENTRIES: most directories have a few */
    size_t room;        /* entries that it could hold */
    size_t count, next; /* entries in it; the one whose text comes next */
    bool last_run;
    bool begun; /* the head of the text is out */
    bool any;   /* entry has been written: a comma is due before the next */
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

enum status listing_begin(struct listing **listing, const struct store_at *at, bool meta)
{
    enum status st = ST_NO_MEMORY;
    struct listing *l = calloc(1, sizeof *l);
    if (!l)
        return ST_NO_MEMORY;
    l->at = at;
    l->meta = meta;
    int fd = open_directory(at, &l->sub, &st);
    if (fd < 0)
        goto fail;
    st = ST_NO_MEMORY;
    l->dir = fdopendir(fd);
    if (!l->dir) {
        (void)close(fd);
        goto fail;
    }
    *listing = l;
    return ST_OK;

fail:
    listing_free(l);
    return st;
}

static void drop_run(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->run[i].name);
    l->count = l->next = 0;
}

void listing_free(struct listing *l)
{
    if (!l)
        return;
    drop_run(l);
    free(l->run);
    if (l->dir)
        (void)closedir(l->dir);
    free(l);
}

/* --- Reading a run --- */

/* A link to a directory is one (a disk may be put in its place so); any other is not followed, as
 * it would not be served. False where the entry is gone. */
static bool look(int dir, struct entry *entry, int *err)
{
    struct stat st;
    *err = 0;
    if (fstatat(dir, entry->name, &st, AT_SYMLINK_NOFOLLOW)) {
        *err = errno == ENOENT ? 0 : errno;
        return false;
    }
    if (S_ISLNK(st.st_mode)) {
        struct stat target;
        if (fstatat(dir, entry->name, &target, 0) == 0 && S_ISDIR(target.st_mode))
            st = target;
    }
    entry->kind = S_ISDIR(st.st_mode)   ? KIND_DIRECTORY
                  : S_ISREG(st.st_mode) ? KIND_FILE
                                        : KIND_OTHER;
    entry->modified = st.st_mtime;
    entry->size = (uint64_t)st.st_size;
    return true;
}

/* Adds what is there; one that is gone by now is no error. */
static enum status add_entry(struct listing *l, const char *name)
{
    int err;
    struct entry *run = grow_list(l->run, l->count, &l->room, sizeof l->run[0]);
    if (!run)
        return ST_NO_MEMORY;
    l->run = run;
    struct entry *entry = &run[l->count];
    entry->name = strdup(name);
    if (!entry->name)
        return ST_NO_MEMORY;
    if (look(dirfd(l->dir), entry, &err)) {
        l->count++;
        return ST_OK;
    }
    free(entry->name);
    return err ? subvolume_error(l->sub, l->at->request, "stat", l->at->file, err) : ST_OK;
}

/* nginx's order: directories first, then by the bytes of the name. */
static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if ((x->kind == KIND_DIRECTORY) != (y->kind == KIND_DIRECTORY))
        return x->kind == KIND_DIRECTORY ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Reads as many entries as a run holds, and sorts them. Names that begin with a dot are not shown,
 * as by nginx; .larder is one of them. */
static enum status read_run(struct listing *l)
{
    enum status st = ST_OK;
    drop_run(l);
    while (!st && l->count < RUN_ENTRIES) {
        errno = 0;
        const struct dirent *entry = readdir(l->dir);
        if (!entry && errno)
            return subvolume_error(l->sub, l->at->request, "readdir", l->at->file, errno);
        if (!entry) {
            l->last_run = true;
            break;
        }
        if (entry->d_name[0] != '.')
            st = add_entry(l, entry->d_name);
    }
    if (l->count)
        qsort(l->run, l->count, sizeof l->run[0], compare);
    return st;
}

/* --- Writing the text --- */

/* Opened without following a link and without waiting for a pipe's other end: an entry may have
 * become something else since it was looked at. */
static enum status add_meta(struct listing *l, const struct entry *entry, struct buf *out)
{
    const struct disk *disk = subvolume_disk(l->sub);
    struct store_attributes attributes;
    int fd = disk->open(dirfd(l->dir), entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)
        return errno == ENOENT
                   ? ST_OK
                   : subvolume_error(l->sub, l->at->request, "open", entry->name, errno);
    enum status st = store_read_attributes(l->sub, fd, l->at, &attributes);
    (void)disk->close(fd);
    if (st)
        return st;
    if (attributes.md5[0])
        buf_addf(out, ", \"md5\":\"%s\"", attributes.md5);
    if (attributes.created)
        buf_addf(out, ", \"created\":%" PRIu64, attributes.created);
    if (attributes.unlinked)
        buf_adds(out, ", \"unlinked\":true");
    if (attributes.has_size)
        buf_addf(out, ", \"expected\":%" PRIu64, attributes.size);
    return ST_OK;
}

/* One entry, as nginx writes it; `meta` comes behind what nginx has. */
static enum status add_text(struct listing *l, const struct entry *entry, struct buf *out)
{
    static const char *const kinds[] = {"directory", "file", "other"};
    enum status st = ST_OK;
    char date[DATE_SIZE];
    date_format(entry->modified, date);
    buf_adds(out, l->any ? ",\r\n{ \"name\":" : "{ \"name\":");
    json_add_string(out, entry->name, strlen(entry->name));
    buf_addf(out, ", \"type\":\"%s\", \"mtime\":\"%s\"", kinds[entry->kind], date);
    if (entry->kind == KIND_FILE) {
        buf_addf(out, ", \"size\":%" PRIu64, entry->size);
        if (l->meta)
            st = add_meta(l, entry, out);
    }
    buf_adds(out, " }");
    l->any = true;
    return st;
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
        if (l->next < l->count)
            st = add_text(l, &l->run[l->next++], out);
        else if (l->last_run)
            *more = false;
        else
            st = read_run(l);
    }
    if (!st && !*more)
        buf_adds(out, l->any ? "\r\n]" : "]");
    return st ? st : buf_ok(out) ? ST_OK : ST_NO_MEMORY;
}
