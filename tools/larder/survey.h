/*
 * What is on the volumes of a running master, all of it: who they are, and a scratch database with
 * every file and tombstone of theirs.
 */
#ifndef LARDER_TOOLS_SURVEY_H
#define LARDER_TOOLS_SURVEY_H

#include "common/attr.h"
#include "common/status.h"
#include "tools/larder/walk.h"

struct client;
struct option_list;
struct roster;
struct scan;

/* Zero it to make an empty one. */
struct survey {
    char *temp; /* a directory of our own */
    struct roster *roster;
    struct scan *scan;
    struct walk_result found;
};

/* Asks the master for its volumes, and all of them but those of `without` who they are. Says why
 * where it fails: ST_BAD_REQUEST, ST_UNAVAILABLE where one is away, … */
enum status survey_begin(struct survey *survey, struct client *client,
                         const struct option_list *without) MUST_CHECK;
/* Whether all that were asked are those that the master means. Says so of each that is not:
 * ST_CONFLICT. After survey_begin(). */
enum status survey_check(const struct survey *survey, struct client *client) MUST_CHECK;
/* Makes the scratch database, below `scratch` (NULL: TMPDIR, or /tmp). Says why where it fails. */
enum status survey_scratch(struct survey *survey, const char *scratch) MUST_CHECK;
/* Then walks them, into it. Shows progress. */
enum status survey_walk(struct survey *survey, unsigned threads) MUST_CHECK;
/* Frees, and removes the scratch database. */
void survey_end(struct survey *survey);

#endif
