/*
 * The order in which a caller uses these is what makes the swap durable: the new files are synced
 * (swap_sync_files), then the names change (swap_exchange), then the directory that has the names
 * is synced (swap_sync_parent). After a power failure at any point the name is that of one whole
 * directory, the old one or the new one.
 */
#include "common/swap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Works for files and directories. */
static enum status sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return status_of_errno(errno);
    enum status st = fsync(fd) == 0 ? ST_OK : status_of_errno(errno);
    (void)close(fd);
    return st;
}

enum status swap_sync_files(const char *dir)
{
    DIR *list = opendir(dir);
    if (!list)
        return status_of_errno(errno);
    enum status st = ST_OK;
    const struct dirent *entry;
    while (!st && (entry = readdir(list))) {
        char *path = NULL;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        st = asprintf(&path, "%s/%s", dir, entry->d_name) < 0 ? ST_NO_MEMORY : sync_path(path);
        free(path);
    }
    (void)closedir(list);
    return st ? st : sync_path(dir);
}

/* dirname() may write into what it is given, so it gets a copy. */
enum status swap_sync_parent(const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return ST_NO_MEMORY;
    enum status st = sync_path(dirname(copy));
    free(copy);
    return st;
}

/* Where the file system cannot exchange (RENAME_EXCHANGE: EINVAL on some), there is a moment
 * between two renames in which `dir` is not there; a crash in it leaves both under their other
 * names. */
bool swap_exchange(const char *dir, const char *path, const char *old)
{
    bool exchanged = renameat2(AT_FDCWD, path, AT_FDCWD, dir, RENAME_EXCHANGE) == 0;
    if (exchanged && rename(path, old) == 0)
        return true;
    int why = errno;
    /* Back again, so that what has the name of the new one never is the old one. */
    if (exchanged) {
        (void)renameat2(AT_FDCWD, path, AT_FDCWD, dir, RENAME_EXCHANGE);
    } else if (rename(dir, old) == 0) {
        if (rename(path, dir) == 0)
            return true;
        why = errno;
        (void)rename(old, dir);
    } else {
        why = errno;
    }
    errno = why;
    return false;
}
