/* What `backup` and `restore` share: reading a backup, and saying of when it is. */
#ifndef LARDER_TOOLS_BACKUPFILE_H
#define LARDER_TOOLS_BACKUPFILE_H

#include "common/attr.h"
#include "common/status.h"

struct buf;
struct checkpoint_reader;

/* Gives the reader all that is left to be read of `fd`, in pieces. What the reader says ends it;
 * ST_CLOSED where a signal has come; a read that fails is said, with `name`. Whether the backup
 * was whole is the reader's to tell. */
enum status backupfile_read(int fd, const char *name, struct checkpoint_reader *reader) MUST_CHECK;

/* Appends when the index was as the backup has it: "2026-11-21T22:09:08Z". The reader has read its
 * head. */
void backupfile_when(const struct checkpoint_reader *reader, struct buf *out);

#endif
