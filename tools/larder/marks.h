/* What volumes tell beyond their files: tombstones, and values in quarantine. */
#ifndef LARDER_TOOLS_MARKS_H
#define LARDER_TOOLS_MARKS_H

#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct http_fetcher;
struct roster;
struct scan_writer;

/* Asks larder's volumes for those of every place of a roster that roster_call() has filled, and
 * adds them to the scan; *tombstones is raised by how many were. Blocks. Where it fails *place is
 * the one that was asked, and `why` (VOLUME_WHY bytes) a text for people, or "" where that has been
 * said. */
enum status marks_scan(const struct roster *roster, struct http_fetcher *fetcher,
                       struct scan_writer *writer, uint64_t *tombstones, uint32_t *place,
                       char *why) MUST_CHECK;

#endif
