/*
 * The steps from a wrong value to a master that knows of it, in the order that DESIGN.md ('Damage')
 * gives; the work of each is in examine.c, quarantine.c and tell.c. The order is what makes a crash
 * harmless: the note is on the disk before the value moves, and is marked as told only after a
 * master has answered.
 */
#include "volume/damage.h"

#include "common/log.h"
#include "volume/quarantine.h"
#include "volume/subvolume.h"
#include "volume/subvolumes.h"
#include "volume/tell.h"

/* Hands it to the thread that tells masters. `id` is "" where the value is not in quarantine: then
 * only memory knows of it. A full list is no loss for what is in quarantine: its note is found
 * again by damage_resume(), every minute. */
static void report(const struct damage *damage, const struct store_at *at, const char *id)
{
    if (!tell_add(damage->tell, at->subvolume, at->file, id))
        log_event(LOG_WARN, "scrub",
                  "subvolume=%u path=\"%s\" error=\"too many damaged values wait to be told\" "
                  "advice=\"is a master up?\"",
                  at->subvolume, at->file);
}

/* Set aside first; the caller then notes that the disk has failed, after which it takes no more
 * writes. ST_NOT_FOUND: it was replaced or deleted meanwhile, so what was examined is nobody's
 * value any more. */
static enum examine_result set_aside(const struct damage *damage, const struct store_at *at,
                                     const struct examine *examine)
{
    struct quarantine_entry entry = {
        .device = examine->device, .inode = examine->inode, .reason = examine->reason};
    struct subvolume *sub = subvolumes_find(at->all, at->subvolume);
    enum status st = quarantine_take(at, &entry);
    if (st != ST_NOT_FOUND)
        log_event(LOG_ERROR, "scrub",
                  "subvolume=\"%s\" path=\"%s\" error=\"the value is damaged: %s\" "
                  "quarantine=\"%s\" result=\"%s\"",
                  subvolume_name(sub), at->file, examine->reason, st ? "" : entry.id,
                  st ? status_text(st) : "set aside");
    if (st == ST_OK)
        report(damage, at, entry.id);
    else if (st != ST_NOT_FOUND)
        report(damage, at, "");
    return st == ST_NOT_FOUND ? EXAMINE_GONE : EXAMINE_DAMAGED;
}

enum examine_result damage_check(const struct damage *damage, unsigned subvolume, const char *path,
                                 uint64_t *bytes)
{
    struct store_at at = {
        .all = damage->all, .subvolume = subvolume, .file = path, .request = "scrub"};
    struct examine examine = {
        .at = &at, .buffer = damage->buffer, .pause = damage->pause, .arg = damage->arg};
    enum examine_result result = examine_value(&examine);
    *bytes = examine.bytes;
    if (result == EXAMINE_DAMAGED)
        result = set_aside(damage, &at, &examine);
    /* Only now: a disk that has failed is read-only, and could not keep the quarantine. */
    if (examine.err)
        (void)subvolume_error(subvolumes_find(damage->all, subvolume), "scrub", "read", path,
                              examine.err);
    return result;
}

void damage_mark_told(const struct damage *damage, unsigned subvolume)
{
    char id[QUARANTINE_ID];
    struct store_at at = {.all = damage->all,
                          .subvolume = subvolume,
                          .file = ".larder/quarantine",
                          .request = "scrub"};
    while (tell_take(damage->tell, subvolume, id)) {
        enum status st = quarantine_told(&at, id);
        if (st == ST_OK || st == ST_NOT_FOUND)
            tell_forget(damage->tell, subvolume, id);
        /* Else it is told again after a restart, which does no harm. */
    }
}

/* What goes through the scan of a quarantine. */
struct resuming {
    const struct damage *damage;
    const struct store_at *at;
    void (*suspect)(void *arg, unsigned subvolume, const char *path);
};

/* A note without its value is from a crash between the two: the value stands where it was. It is
 * examined anew, under a note of its own if it is still damaged, and the old note goes. */
static bool resume_one(void *arg, const char *id, const char *path, bool there)
{
    const struct resuming *resuming = arg;
    const struct damage *damage = resuming->damage;
    unsigned subvolume = resuming->at->subvolume;
    if (!path[0])
        return true; /* logged; it stays for people */
    if (there)
        return tell_add(damage->tell, subvolume, path, id); /* full: the rest another time */
    resuming->suspect(damage->arg, subvolume, path);
    if (quarantine_drop(resuming->at, id))
        log_event(LOG_DEBUG, "scrub", "subvolume=%u id=%s result=\"the note stays\"", subvolume,
                  id);
    return true;
}

void damage_resume(const struct damage *damage, unsigned subvolume,
                   void (*suspect)(void *arg, unsigned subvolume, const char *path))
{
    struct store_at at = {.all = damage->all,
                          .subvolume = subvolume,
                          .file = ".larder/quarantine",
                          .request = "scrub"};
    struct resuming resuming = {damage, &at, suspect};
    enum status st = quarantine_scan(&at, resume_one, &resuming);
    if (st)
        log_event(LOG_DEBUG, "scrub", "subvolume=%u doing=\"read the quarantine\" error=\"%s\"",
                  subvolume, status_text(st));
}
