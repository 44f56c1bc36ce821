/* larder verify --masters: do all masters of a store have the same index? */
#ifndef LARDER_TOOLS_MASTERS_H
#define LARDER_TOOLS_MASTERS_H

/* `masters`: as client_new(). Asks one of them who the members are, and each of those for a digest
 * of its index, until they are at the same sequence. Where digests differ, names keys that do.
 * Returns an exit status: EXIT_WELL: the same; EXIT_FAILED: they differ; EXIT_TROUBLE: it cannot be
 * told (said). */
int masters_compare(const char *masters);

#endif
