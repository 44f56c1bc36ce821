/* Asks every volume how it is, again and again, on one loop; what it hears goes into the volume
 * table. Tells a volume of ours its name where it does not know it. */
#ifndef LARDER_MASTER_HEALTH_H
#define LARDER_MASTER_HEALTH_H

#include "common/attr.h"

struct health;
struct worker;

struct health *health_new(struct worker *worker) MUST_CHECK;
void health_free(struct health *health);

#endif
