/*
 * Brings an index that was restored from a backup, and the volumes together: every key that either
 * side has is looked at (reconcile.h), and what the index should say is sent to the master, which
 * takes no other writes meanwhile.
 */
#ifndef LARDER_TOOLS_REUNITE_H
#define LARDER_TOOLS_REUNITE_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/status.h"

struct client;
struct survey;

/* Asks the master whether its index counts as restored. Says why where it fails. */
enum status reunite_is_needed(struct client *client, bool *needed) MUST_CHECK;
/* Has it count as one, and waits until writes and deletes that are under way have ended.
 * ST_CONFLICT: another is at it, and nothing has changed. */
enum status reunite_begin(struct client *client) MUST_CHECK;
/* With a survey that was walked since: looks at all keys, sends what is to change, and ends the
 * restored state. *well: no key has lost all of its copies to quarantine. Shows progress, and says
 * on standard output what was done. Interrupted or failed: the index counts as restored still, and
 * it can be begun again. */
enum status reunite_run(struct client *client, struct survey *survey, bool *well) MUST_CHECK;

#endif
