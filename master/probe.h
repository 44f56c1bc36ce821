/* Asks who answers at an address, and how it is: GET /admin/health. */
#ifndef LARDER_MASTER_PROBE_H
#define LARDER_MASTER_PROBE_H

#include <stddef.h>

#include "common/attr.h"
#include "common/status.h"

struct http_call;
struct volume_report;
struct worker;

/* Asks on the worker's loop, with --voltimeout. `id`: the identity of the volume of ours that is
 * meant, and is told the term in which this master writes; NULL: whoever is there, who is told
 * nothing. `done` is http_call_spec's; NULL: no memory, and nothing is called. */
struct http_call *probe_start(struct worker *worker, const char *address, const char *id,
                              void (*done)(void *arg, struct http_call *call, enum status st),
                              void *arg) MUST_CHECK;

/* For `done`: what the answer says, into a zeroed report; without a sound answer it stays so. Its
 * subvolumes are the caller's (free()). */
void probe_read(struct volume_report *report, struct http_call *call, enum status st);

/* Reads a volume's answer to GET /admin/health into `report`; what is not there stays as it is. A
 * text that is no such answer makes it a plain volume that is up. */
void probe_parse(struct volume_report *report, const char *text, size_t len);

#endif
