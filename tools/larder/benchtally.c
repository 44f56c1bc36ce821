/*
 * One tally a thread, without locks; the main thread merges them after the join. All members are
 * sums, but for the latest end and the examples.
 */
#include "tools/larder/benchtally.h"

#include <stdio.h>
#include <string.h>

/* Members of the JSON output have these names; keep them, others read them. */
const char *benchtally_fault_text(enum benchtally_fault fault)
{
    static const char *const texts[BENCHTALLY_FAULTS] = {
        "connect", "broken", "timeout",  "malformed", "status", "length",
        "bytes",   "md5",    "redirect", "list",      "local"};
    return texts[fault];
}

/* A status beyond three digits cannot come: the parser takes no more. */
void benchtally_fail(struct benchtally *tally, enum benchtally_fault fault, int status,
                     const char *example)
{
    tally->errors++;
    tally->faults[fault]++;
    if (fault == BENCHTALLY_STATUS && status >= 0 && status < BENCHTALLY_STATUSES)
        tally->statuses[status]++;
    if (!tally->examples[fault][0])
        (void)snprintf(tally->examples[fault], BENCHTALLY_EXAMPLE, "%s", example);
}

/* Examples are kept from whoever comes first. */
void benchtally_merge(struct benchtally *to, const struct benchtally *from)
{
    to->operations += from->operations;
    to->errors += from->errors;
    to->bytes += from->bytes;
    to->reconnects += from->reconnects;
    to->missed += from->missed;
    to->cpu_ns += from->cpu_ns;
    if (from->last_ns > to->last_ns)
        to->last_ns = from->last_ns;
    benchhist_merge(&to->whole, &from->whole);
    for (int i = 0; i < BENCHTALLY_STEPS; i++)
        benchhist_merge(&to->steps[i], &from->steps[i]);
    for (int i = 0; i < BENCHTALLY_FAULTS; i++) {
        to->faults[i] += from->faults[i];
        if (!to->examples[i][0])
            memcpy(to->examples[i], from->examples[i], BENCHTALLY_EXAMPLE);
    }
    for (int i = 0; i < BENCHTALLY_STATUSES; i++)
        to->statuses[i] += from->statuses[i];
}
