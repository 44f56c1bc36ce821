/*
 * Values that were verified lately, and may be sent without being read first.
 *
 * A value is known by its file: device, inode, size, and ctime, which every change of its bytes or
 * attributes moves. So an entry never has to be taken back; it is found no more. It expires after a
 * minute, because a disk may lose what it had without a change of the file. The table is of fixed
 * size and forgets: what is not in it is verified again, which does no harm.
 *
 * Any thread. Nothing here blocks for longer than another's look-up.
 */
#ifndef LARDER_VOLUME_TRUSTED_H
#define LARDER_VOLUME_TRUSTED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "volume/trusted_file.h"

/* Entries, and how long they hold (milliseconds). */
enum { TRUSTED_ENTRIES = 64 * 1024, TRUSTED_MS = 60 * 1000 };

struct store_attributes;
struct trusted;

/* About 7 MiB, from now on and for good. NULL: no memory. */
struct trusted *trusted_new(void) MUST_CHECK;
void trusted_free(struct trusted *trusted);

/* The value was found to be what its MD5 says. No-op for no file. `attributes` are those that it
 * has in this state; NULL: they are not at hand. */
void trusted_add(struct trusted *trusted, const struct trusted_file *file,
                 const struct store_attributes *attributes);
bool trusted_has(struct trusted *trusted, const struct trusted_file *file) MUST_CHECK;
/* True where it is there, and so are its attributes: sets what an answer needs of them, MD5, size
 * and Content-Type. The others are as if there were none. */
bool trusted_attributes(struct trusted *trusted, const struct trusted_file *file,
                        struct store_attributes *attributes) MUST_CHECK;
/* Adds the attributes to an entry that was made without; it does not hold for longer by that. */
void trusted_describe(struct trusted *trusted, const struct trusted_file *file,
                      const struct store_attributes *attributes);
/* It has to be verified again: its bytes have left the page cache. */
void trusted_remove(struct trusted *trusted, const struct trusted_file *file);

/* The same at a given time of loop_now_ms(): for tests. */
void trusted_add_at(struct trusted *trusted, const struct trusted_file *file,
                    const struct store_attributes *attributes, uint64_t now_ms);
bool trusted_has_at(struct trusted *trusted, const struct trusted_file *file,
                    uint64_t now_ms) MUST_CHECK;

#endif
