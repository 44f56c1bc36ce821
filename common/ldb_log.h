/* LevelDB's log files, looked at before LevelDB reads them.
 *
 * LevelDB takes some damage for the end of a log, also with paranoid checks: a record whose header
 * is zeros, and a record that is longer than what is left of the file. What follows is dropped
 * without a word, though it was synced. After a crash nothing can follow there; so if something
 * does, it is damage. */
#ifndef LARDER_COMMON_LDB_LOG_H
#define LARDER_COMMON_LDB_LOG_H

#include "common/attr.h"
#include "common/status.h"

/* Looks through the logs and manifests of the database at `path`, reading all of each: a few MiB,
 * as many as a memtable has. Call it while nobody has the database open. ST_CORRUPT, with a text in
 * *error (may be NULL) that the caller frees, where LevelDB would drop records silently.
 * ST_NO_MEMORY. A directory that is not there, or a file that cannot be read, is left to LevelDB to
 * complain about: ST_OK. */
enum status ldb_log_check(const char *path, char **error) MUST_CHECK;

#endif
