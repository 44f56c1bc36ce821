/* What `verify` found, as it goes out: lines for people, or one JSON document. Any thread. */
#ifndef LARDER_TOOLS_REPORT_H
#define LARDER_TOOLS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

struct report;
struct key;
struct findings;

struct report_totals {
    uint64_t keys;      /* in the index */
    uint64_t files;     /* on the volumes */
    uint64_t bytes;     /* in them */
    uint64_t strays;    /* files that tell no key */
    uint64_t unchecked; /* keys that could not be looked at */
    uint64_t repaired;  /* keys that were mended, and are not among the findings */
    bool deep;
};

/* Begins the output. NULL: no memory. */
struct report *report_new(bool json) MUST_CHECK;
void report_free(struct report *report);

void report_key(struct report *report, const struct key *key, const struct findings *findings);
uint64_t report_count(struct report *report);

/* Ends the output. `complete`: everything was looked at. */
void report_finish(struct report *report, const struct report_totals *totals, bool complete);

#endif
