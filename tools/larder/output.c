/*
 * A file that is there whole or not at all: written beside its place, renamed at the end. What
 * cannot be renamed over (a device, a pipe, standard output) is written directly, and then what
 * went out cannot be taken back: output_can_rewind() says so.
 *
 * No fsync: this is a client's copy, as that of cp or curl is. errno is used for the messages; so
 * complain() comes right behind the call that failed.
 */
#include "tools/larder/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/larder/say.h"

struct output {
    int fd;
    char *file; /* the name in the end, links followed */
    char *temp; /* the name until then; NULL: written directly */
    uint64_t written;
};

/* Always false, so that a caller can return it. errno must still be that of the failure. */
static bool complain(const struct output *output, const char *doing)
{
    say_error("could not %s %s: %s", doing, output->file, strerror(errno));
    return false;
}

/* The temp file stands in the same directory, so that the rename cannot fail for another disk.
 * mkostemp() makes it for the owner alone; the file in the end is to have the mode that any program
 * would have given it. Asking for the umask sets it, too: this is done before there are threads. */
static bool open_temp(struct output *output)
{
    mode_t mask = umask(0);
    (void)umask(mask);
    if (asprintf(&output->temp, "%s.larder-XXXXXX", output->file) < 0) {
        output->temp = NULL;
        return complain(output, "write");
    }
    output->fd = mkostemp(output->temp, O_CLOEXEC);
    if (output->fd < 0) {
        free(output->temp);
        output->temp = NULL;
        return complain(output, "write a file beside");
    }
    return fchmod(output->fd, 0666 & ~mask) == 0 || complain(output, "set the mode of");
}

/* A link is followed first, since the rename would otherwise replace the link instead of its
 * file. */
static bool open_output(struct output *output, const char *file)
{
    struct stat is;
    if (strcmp(file, "-") == 0) {
        output->fd = STDOUT_FILENO;
        output->file = strdup("standard output");
        return output->file != NULL;
    }
    output->file = realpath(file, NULL);
    if (!output->file)
        output->file = strdup(file);
    if (!output->file)
        return false;
    if (stat(output->file, &is) != 0 || S_ISREG(is.st_mode))
        return open_temp(output);
    output->fd = open(output->file, O_WRONLY | O_CLOEXEC);
    return output->fd >= 0 || complain(output, "open");
}

struct output *output_new(const char *file)
{
    struct output *output = calloc(1, sizeof *output);
    if (!output)
        return NULL;
    output->fd = -1;
    if (!open_output(output, file)) {
        output_free(output);
        return NULL;
    }
    return output;
}

void output_free(struct output *output)
{
    if (!output)
        return;
    if (output->temp)
        (void)unlink(output->temp);
    if (output->fd > STDERR_FILENO)
        (void)close(output->fd);
    free(output->temp);
    free(output->file);
    free(output);
}

/* A pipe takes less than all at times. */
bool output_write(struct output *output, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(output->fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return complain(output, "write to");
        data += n;
        len -= (size_t)n;
        output->written += (uint64_t)n;
    }
    return true;
}

bool output_can_rewind(const struct output *output)
{
    return output->temp || output->written == 0;
}

/* The offset goes back as well: a hole of zeros at the beginning would be no value. */
bool output_rewind(struct output *output)
{
    if (output->written == 0)
        return true;
    if (!output->temp)
        return false;
    if (ftruncate(output->fd, 0) != 0 || lseek(output->fd, 0, SEEK_SET) < 0)
        return complain(output, "write again to");
    output->written = 0;
    return true;
}

/* close() may tell of a write that failed only now (NFS, quotas), so it comes before the rename. */
bool output_finish(struct output *output)
{
    if (!output->temp)
        return true;
    int failed = close(output->fd);
    output->fd = -1;
    if (failed || rename(output->temp, output->file) != 0)
        return complain(output, "put in place");
    free(output->temp);
    output->temp = NULL;
    return true;
}
