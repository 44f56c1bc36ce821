#include "volume/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/planted.h"
#include "volume/disk.h"
#include "volume/subvolume.h"
#include "volume/subvolumes.h"

struct check {
    const struct store_at *at;
    const struct store_value *value;
    const struct disk *disk;
    struct md5 *md5;
    uint64_t offset; /* bytes so far */
};

struct check *check_new(const struct store_at *at, const struct store_value *value)
{
    struct subvolume *sub = subvolumes_get(at->all, at->subvolume);
    struct check *check = calloc(1, sizeof *check);
    struct md5 *md5 = md5_new();
    if (!sub || !check || !md5) {
        md5_free(md5);
        free(check);
        return NULL;
    }
    *check = (struct check){.at = at, .value = value, .disk = subvolume_disk(sub), .md5 = md5};
    return check;
}

void check_free(struct check *check)
{
    if (!check)
        return;
    md5_free(check->md5);
    free(check);
}

/* The disk is not noted to have failed: it would take no writes from then on, and the value could
 * not be set aside. The scrub does both, in that order. */
static void log_value(const struct check *check, const char *error, const char *detail)
{
    log_event(
        LOG_ERROR, "get", "request=%s subvolume=%u path=\"%s\" offset=%" PRIu64 " error=\"%s%s\"",
        check->at->request, check->at->subvolume, check->at->file, check->offset, error, detail);
}

static enum check_result compare(struct check *check)
{
    unsigned char digest[MD5_SIZE];
    char hex[MD5_HEX + 1];
    if (md5_finish(check->md5, digest))
        return CHECK_FAILED;
    md5_hex(digest, hex);
    if (!strcmp(hex, check->value->attributes.md5) || planted("skip-read-check"))
        return CHECK_GOOD;
    log_value(check, "the value is damaged; it is not sent. Its MD5 is ", hex);
    return CHECK_DAMAGED;
}

/* Fills `to`. CHECK_MORE: it is full. */
static enum check_result read_bytes(const struct check *check, char *to, size_t len)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = check->disk->read(check->value->fd, to + got, len - got, check->offset + got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == ENOMEM)
            return CHECK_FAILED;
        if (n < 0) {
            log_value(check, "the value cannot be read: ", strerror(errno));
            return CHECK_UNREADABLE;
        }
        if (n == 0) {
            log_value(check, "the value became shorter while it was read", "");
            return CHECK_DAMAGED;
        }
        got += (size_t)n;
    }
    return CHECK_MORE;
}

enum check_result check_next(struct check *check, char *to, size_t max, size_t *got)
{
    uint64_t left = check->value->size - check->offset;
    *got = left < max ? (size_t)left : max;
    enum check_result result = read_bytes(check, to, *got);
    if (result != CHECK_MORE)
        return result;
    md5_update(check->md5, to, *got);
    check->offset += *got;
    return check->offset < check->value->size ? CHECK_MORE : compare(check);
}
