/*
 * The MD5s of values that are written at the same time, two by two (common/md5_two.h). Whoever has
 * bytes offers them, and writes them to the disk meanwhile; whoever comes next hashes them together
 * with his own. Nobody waits for one to come: what was not taken is hashed by who offered it, after
 * the write. Whose bytes were taken waits until both are hashed, as far as the shorter one goes.
 */
#ifndef LARDER_VOLUME_DIGESTS_H
#define LARDER_VOLUME_DIGESTS_H

#include "common/attr.h"
#include "common/md5_two.h"

struct digests;

/* NULL: no memory. */
struct digests *digests_new(void) MUST_CHECK;
/* NULL is fine. */
void digests_free(struct digests *digests);

/* Bytes that are offered; the caller's. It stays, with what `more` points to, until
 * digests_collect(). `more` then is empty. */
struct digests_part {
    struct md5_more more;
    enum { DIGESTS_OFFERED, DIGESTS_TAKEN, DIGESTS_DONE } state; /* theirs */
};

/* If another one's are offered: hashes both now, as far as the shorter one goes. Else leaves them
 * there. Any thread. */
void digests_offer(struct digests *digests, struct digests_part *part);
/* Once for each offer, on its thread: it is hashed when this returns. */
void digests_collect(struct digests *digests, struct digests_part *part);

#endif
