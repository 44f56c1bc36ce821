#include "tools/larder/backupfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/checkpoint.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/say.h"

enum { PIECE = 256 * 1024 };

/* The signal is looked for after the read, which it may have ended: what was read then is dropped,
 * since whoever is interrupted keeps nothing of it. */
enum status backupfile_read(int fd, const char *name, struct checkpoint_reader *reader)
{
    char *piece = malloc(PIECE);
    enum status st = piece ? ST_OK : ST_NO_MEMORY;
    while (!st) {
        ssize_t n = read(fd, piece, PIECE);
        if (interrupt_seen()) {
            st = ST_CLOSED;
        } else if (n > 0) {
            st = checkpoint_reader_take(reader, piece, (size_t)n);
        } else if (n == 0) {
            break;
        } else if (errno != EINTR) {
            st = status_of_errno(errno);
            say_error("could not read %s: %s", name, strerror(errno));
        }
    }
    free(piece);
    return st;
}

/* Nothing where it is beyond the years that can be written. */
void backupfile_when(const struct checkpoint_reader *reader, struct buf *out)
{
    char when[32];
    time_t seconds = (time_t)(checkpoint_reader_head(reader)->made_ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) && strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &parts))
        buf_adds(out, when);
}
