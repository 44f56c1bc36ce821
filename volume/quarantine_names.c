/*
 * What a file is follows from the end of its name alone, so that a quarantine can be counted
 * without opening anything. Whatever is no note counts as a value: also what people have put there.
 */
#include "volume/quarantine_names.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_PART = 200 }; /* bytes of a path in a name */

/* A name that is nothing but the suffix is no note of ours. */
static bool ends_in(const char *name, const char *suffix)
{
    size_t len = strlen(name), end = strlen(suffix);
    return len > end && !strcmp(name + len - end, suffix);
}

bool quarantine_names_is_untold(const char *name)
{
    return ends_in(name, QUARANTINE_UNTOLD);
}

bool quarantine_names_is_value(const char *name)
{
    return name[0] != '.' && !ends_in(name, QUARANTINE_UNTOLD) && !ends_in(name, QUARANTINE_TOLD);
}

size_t quarantine_names_note(const char *name)
{
    const char *suffix = quarantine_names_is_untold(name) ? QUARANTINE_UNTOLD : QUARANTINE_TOLD;
    return ends_in(name, suffix) ? strlen(name) - strlen(suffix) : 0;
}

/* "aa/bb/NAME" as "ID.aa%bb%NAME": '%' is not in the alphabet of names. The whole path is in the
 * note, so what is cut off is not lost. */
void quarantine_names_value(const char *id, size_t id_len, const char *path,
                            char name[QUARANTINE_FILE_NAME])
{
    int len = snprintf(name, QUARANTINE_FILE_NAME, "%.*s.%.*s", (int)id_len, id, PATH_PART, path);
    for (int i = 0; i < len && name[i]; i++)
        if (name[i] == '/')
            name[i] = '%';
}

/* fdopendir() takes the descriptor over only where it succeeds. */
DIR *quarantine_names_list(int root, const char *directory)
{
    int fd = openat(root, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        (void)close(fd);
    return dir;
}

/* 0 also where it cannot be read: the number is for people to look at. */
uint64_t quarantine_names_count(int root)
{
    uint64_t values = 0;
    DIR *dir = quarantine_names_list(root, QUARANTINE_DIRECTORY);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        values += quarantine_names_is_value(entry->d_name);
    if (dir)
        (void)closedir(dir);
    return values;
}
