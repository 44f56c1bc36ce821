/* Asks every volume how it is, once a second, on one loop; what it hears goes into the volume
 * table. */
#ifndef LARDER_MASTER_HEALTH_H
#define LARDER_MASTER_HEALTH_H

#include <stddef.h>

#include "common/attr.h"

struct health;
struct volume_report;
struct worker;

struct health *health_new(struct worker *worker) MUST_CHECK;
void health_free(struct health *health);

/* Reads a volume's answer to GET /admin/health into `report`; what is not there stays as it is. A
 * text that is no such answer makes it a plain volume that is up. */
void health_parse(struct volume_report *report, const char *text, size_t len);

#endif
