/* What `larder bench` asks: the key and value of an operation, and the text of its requests. */
#ifndef LARDER_TOOLS_BENCHREQUEST_H
#define LARDER_TOOLS_BENCHREQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "tools/larder/benchplan.h"
#include "tools/larder/benchvalue.h"
#include "tools/larder/benchwire.h"

struct benchvalues;

/* A client's; zero it before its first use. Its buffers are kept from operation to operation. */
struct benchrequest {
    struct buf key;  /* raw */
    struct buf path; /* encoded; whoever follows a redirect puts another in its place */
    struct buf head; /* as it is sent */
    struct benchvalue value;
    uint64_t size;                 /* of the value */
    struct benchwire_request wire; /* points into `head`, and at `value` */
};

void benchrequest_free(struct benchrequest *request);

/* Another operation begins, on key `index` of the plan. */
void benchrequest_of_key(struct benchrequest *request, const struct benchplan *plan,
                         const struct benchvalues *values, uint64_t index);

/* Sets the path of that key, or of the list from it on: at the first request of every step. */
void benchrequest_to_key(struct benchrequest *request, const struct benchplan *plan);

/* Writes the request for the path, to the server `host` ("host:port"). */
void benchrequest_write(struct benchrequest *request, enum benchplan_op op, const char *host);

/* False: no memory for one of the above. */
bool benchrequest_ok(const struct benchrequest *request) MUST_CHECK;

#endif
