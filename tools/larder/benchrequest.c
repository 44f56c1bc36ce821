/*
 * Everything here is done once a request or an operation, so it allocates nothing once the buffers
 * have grown: a load that waits for its own malloc measures that. Failures are kept by the buffers,
 * and asked for once (benchrequest_ok).
 */
#include "tools/larder/benchrequest.h"

#include <inttypes.h>
#include <string.h>

#include "common/key.h"

void benchrequest_free(struct benchrequest *request)
{
    buf_free(&request->key);
    buf_free(&request->path);
    buf_free(&request->head);
}

/* The size follows from the key, as the bytes do: so whoever reads it later knows what to expect.
 */
void benchrequest_of_key(struct benchrequest *request, const struct benchplan *plan,
                         const struct benchvalues *values, uint64_t index)
{
    struct buf *key = &request->key;
    buf_clear(key);
    benchplan_key(plan, index, key);
    benchvalue_of(values, buf_text(key), key->len, &request->value);
    request->size = benchsize_of(&plan->size, request->value.hash);
}

/* A redirect has put another path in its place, so every step makes it anew. */
void benchrequest_to_key(struct benchrequest *request, const struct benchplan *plan)
{
    struct buf *path = &request->path;
    buf_clear(path);
    buf_adds(path, plan->base);
    if (plan->op == BENCHPLAN_LIST) {
        key_encode(path, plan->prefix, strlen(plan->prefix));
        buf_addf(path, "?list&limit=%u&start=", plan->page);
    }
    key_encode(path, buf_text(&request->key), request->key.len);
}

/* Nothing that need not be there: what the server spends on parsing is its own, not the load's. */
void benchrequest_write(struct benchrequest *request, enum benchplan_op op, const char *host)
{
    static const char *const methods[BENCHPLAN_OPS] = {
        [BENCHPLAN_PUT] = "PUT",   [BENCHPLAN_GET] = "GET",     [BENCHPLAN_GET_FOLLOW] = "GET",
        [BENCHPLAN_HEAD] = "HEAD", [BENCHPLAN_MISSING] = "GET", [BENCHPLAN_DELETE] = "DELETE",
        [BENCHPLAN_LIST] = "GET",
    };
    struct buf *head = &request->head;
    buf_clear(head);
    buf_adds(head, methods[op]);
    buf_addc(head, ' ');
    buf_add(head, buf_text(&request->path), request->path.len);
    buf_adds(head, " HTTP/1.1\r\nHost: ");
    buf_adds(head, host);
    uint64_t body = op == BENCHPLAN_PUT ? request->size : 0;
    if (op == BENCHPLAN_PUT)
        buf_addf(head, "\r\nContent-Length: %" PRIu64, body);
    buf_adds(head, "\r\n\r\n");
    request->wire = (struct benchwire_request){buf_text(head), head->len, &request->value, body, 0};
}

bool benchrequest_ok(const struct benchrequest *request)
{
    return buf_ok(&request->key) && buf_ok(&request->path) && buf_ok(&request->head);
}
