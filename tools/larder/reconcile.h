/*
 * What an index that was restored from a backup should say of a key, from what it says and what is
 * on the volumes. Pure: no disk, no network.
 *
 * The volumes know what has happened since (choose.h): versions that came, tombstones of deletions.
 * The index knows what they cannot tell. What neither has is gone: a key of the index without any
 * file was deleted after the backup, since a deletion that has reached all its volumes leaves
 * nothing behind. But where a volume was not looked at it may be there, and stays; so does one
 * whose last copies are in quarantine: nobody deleted it.
 *
 * What the index takes for garbage is forgotten, and found again from the files: a copy that was
 * being made when the backup was taken stands there as garbage, and may be the only one by now.
 */
#ifndef LARDER_TOOLS_RECONCILE_H
#define LARDER_TOOLS_RECONCILE_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/status.h"
#include "tools/larder/choose.h"

struct record;
struct scan_group;

/* What has become of a key. */
enum reconcile_end {
    RECONCILE_SAME,
    RECONCILE_NEW,     /* it was not there at the time of the backup */
    RECONCILE_VERSION, /* it has a newer version */
    RECONCILE_HIDDEN,  /* it was unlinked */
    RECONCILE_DELETED,
    RECONCILE_MOVED, /* its copies stand elsewhere, or there are fewer */
    RECONCILE_WORK,  /* the same for clients; the janitor's work is another */
    RECONCILE_KEPT,  /* it cannot be told, since volumes were left out, or its last copies are in
                        quarantine (choice->laid_aside): as it was */
    RECONCILE_ENDS
};

struct reconcile_options {
    struct chooser *chooser;
    /* True for a place that was not looked at; as in choose_options, NULL: all were. */
    bool (*unseen)(const void *arg, const char *place);
    const void *unseen_arg;
};

/* `known` is the index's record, an absent one where it has none. Fills *choice, which
 * record_free(&choice->record) clears afterwards, whatever this returns; with RECONCILE_KEPT it is
 * not to be used. */
enum status reconcile_run(const struct reconcile_options *options, const struct record *known,
                          struct scan_group *group, struct choice *choice,
                          enum reconcile_end *end) MUST_CHECK;

#endif
