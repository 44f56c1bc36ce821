/*
 * What the index says of a key against what is on the volumes. Pure: no disk, no network.
 */
#ifndef LARDER_TOOLS_COMPARE_H
#define LARDER_TOOLS_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/placement.h"
#include "common/status.h"

struct info;
struct places;
struct scan_group;

/* X(name, word in the output) */
#define PROBLEM_LIST(X)                                                                            \
    X(PROBLEM_MISSING, "missing")     /* a copy that the index has is not there */                 \
    X(PROBLEM_EXTRA, "extra")         /* a file that the index knows nothing of */                 \
    X(PROBLEM_SIZE, "size")           /* a copy is longer or shorter than it should be */          \
    X(PROBLEM_MD5, "md5")             /* a copy's MD5 is another than the index has */             \
    X(PROBLEM_FEW, "few")             /* there are fewer copies than wanted */                     \
    X(PROBLEM_TOMBSTONE, "tombstone") /* one on a volume says that a live version is deleted */

enum problem {
#define PROBLEM_ENUM(name, word) name,
    PROBLEM_LIST(PROBLEM_ENUM)
#undef PROBLEM_ENUM
        PROBLEM_COUNT
};

const char *problem_word(enum problem problem);

struct finding {
    enum problem problem;
    uint64_t generation;              /* of the file */
    char place[VOLUME_NAME_MAX + 16]; /* "": of the key as a whole */
    char detail[160];                 /* for people; cut off where it is longer */
};

/* Zero it to make an empty one. */
struct findings {
    struct finding *list;
    size_t count, room;
};

/* Forgets them and keeps the memory, for the next key. */
void findings_clear(struct findings *findings);
void findings_free(struct findings *findings);

struct compare_options {
    const struct places *places; /* that the group's numbers are of */
    /* True for a place that was not looked at: nothing is said of it. NULL: all were. */
    bool (*unseen)(const void *arg, const char *place);
    const void *unseen_arg;
};

/* Adds what is wrong to `findings`. `info` NULL: the index has nothing of the key. ST_NO_MEMORY:
 * some may lack. */
enum status compare_run(const struct compare_options *options, const struct info *info,
                        const struct scan_group *group, struct findings *findings) MUST_CHECK;

#endif
