/*
 * A request, and its answer, as a handler sees them.
 *
 * A request is handed to the handler as soon as its head is there, before the body. The handler, or
 * the flow that it starts, answers it exactly once with http_reply(), http_reply_status(),
 * http_reply_file() or http_reply_end(); the request is gone afterwards. It may answer before,
 * while or after it reads the body. Everything here runs on the loop's thread.
 */
#ifndef LARDER_COMMON_HTTP_REQUEST_H
#define LARDER_COMMON_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/http_head.h"
#include "common/loop.h"
#include "common/status.h"

struct http_request;

/* --- The request ---
 *
 * All of it is valid until the answer, and belongs to the request.
 */

/* HTTP_OTHER for what is not in the list; the name is as sent, and never NULL. */
enum http_method http_request_method(const struct http_request *req);
const char *http_request_method_name(const struct http_request *req);
/* Raw, percent-encoded; the query without its '?', "" where there is none. */
const char *http_request_path(const struct http_request *req, size_t *len);
const char *http_request_query(const struct http_request *req, size_t *len);
/* True where the query has that parameter, also without a value, or with a broken escape in it: it
 * was meant. For values there is key_query(). */
bool http_request_has(const struct http_request *req, const char *name) MUST_CHECK;
/* The first field of that name, in any case of letters, without white space around it. NULL where
 * it was not sent. */
const char *http_request_field(const struct http_request *req, const char *name);
/* A short id, unique in this process; it is in the logs and in the answer's Larder-Request-Id. */
const char *http_request_id(const struct http_request *req);
const char *http_request_peer(const struct http_request *req); /* "address:port" */
/* True where the client cannot get an answer any more, as far as the kernel knows without one being
 * sent: its connection was reset, or has failed. One that has only closed its side, as a client
 * that wants no more requests may do, is not told from one that has gone. For a flow that works for
 * long before it answers. */
bool http_request_is_lost(const struct http_request *req) MUST_CHECK;
/* The loop whose thread this is: where a flow posts what must come back to the request. */
struct loop *http_request_loop(const struct http_request *req);

/* True where a body was announced: a length above 0, or chunked. */
bool http_request_has_body(const struct http_request *req);
/* True where no length was announced at all (neither Content-Length nor chunked). */
bool http_request_no_length(const struct http_request *req);
/* Bytes, or -1 for a chunked body. 0 where nothing was announced. */
int64_t http_request_body_length(const struct http_request *req);
/* Milliseconds of loop_now_ms() at which the head was complete. */
uint64_t http_request_started_ms(const struct http_request *req);

/* --- The body --- */

/* Who takes a body; the handler's. Called on the loop's thread, and not after the answer. */
struct http_body_sink {
    /* Takes up to `len` bytes, returns how many. Fewer than len: the sink is full; nothing more
     * comes until http_request_resume_body(), and then what was not taken comes again. `data` is
     * the connection's, for the length of the call: copy what is to be kept. May answer. */
    size_t (*data)(void *arg, const char *data, size_t len);
    /* Once: ST_OK at the end of the body; ST_CLOSED, ST_TIMEOUT or ST_BAD_REQUEST where it broke
     * off. The request must still be answered: it goes out where it can, and is dropped where not.
     */
    void (*end)(void *arg, enum status st);
};

/* Starts to read the body; sends 100 Continue first where the client waits for it. Never calls the
 * sink before it returns. `sink` must outlive the request. Once a request; without a body the sink
 * only hears its end. */
void http_request_read_body(struct http_request *req, const struct http_body_sink *sink, void *arg);
/* The sink has room again, and gets more on the loop's next turn. No-op where it was not full, so
 * not to be called from within `data`. */
void http_request_resume_body(struct http_request *req);

/* --- The answer --- */

/* Adds a header to the answer, before the answer is begun. Strings are copied. A value with CR or
 * LF is left out (logged): it could add headers of its own. */
void http_reply_field(struct http_request *req, const char *name, const char *value);
void http_reply_fieldf(struct http_request *req, const char *name, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Answers with `len` bytes, which are copied. Content-Length is set; for HEAD the bytes are not
 * sent. */
void http_reply(struct http_request *req, int status, const void *body, size_t len);

/* Answers with the status and, as text/plain, "TEXT\n" (nothing for ST_NOT_FOUND, as minikeyvalue);
 * 503 gets a Retry-After and 405 an Allow, where the caller has added none. `detail` may be NULL:
 * status_text(st) then. */
void http_reply_status(struct http_request *req, enum status st, const char *detail);

/* Answers with `length` bytes of a file from `offset`, by sendfile; for HEAD none are sent. Owns
 * `fd` from here on, also where the client is gone. Where the file turns out to be shorter the
 * connection is cut: Content-Length has left by then. */
void http_reply_file(struct http_request *req, int status, int fd, uint64_t offset,
                     uint64_t length);
/* The same. over(arg, err) is called once, when the file has left or is given up, on the loop's
 * thread and perhaps before this returns; `err` is that of a read of the file that failed, else 0:
 * the client's connection was cut then. */
void http_reply_watched_file(struct http_request *req, int status, int fd, uint64_t offset,
                             uint64_t length, void (*over)(void *arg, int err), void *arg);

/* Answers with `length` bytes of the caller's memory, which is not copied: it must stay until
 * over(arg, 0), which is called once, when they have left or are given up, on the loop's thread and
 * perhaps before this returns. */
void http_reply_block(struct http_request *req, int status, const char *block, size_t length,
                      void (*over)(void *arg, int err), void *arg);

/* Answers in pieces: start, any number of pieces, end. `drained` is called when a piece has left
 * (not before the call returns), with false where the client is gone: then go straight to the end.
 * One piece at a time: its bytes are copied, and only `drained` tells that there is room for more,
 * so a slow client slows the flow down instead of filling the memory. */
void http_reply_start(struct http_request *req, int status);
/* The same, with a Content-Length: the pieces have `length` bytes together, or the answer ends with
 * `whole` false. */
void http_reply_start_length(struct http_request *req, int status, uint64_t length);
void http_reply_piece(struct http_request *req, const void *data, size_t len,
                      void (*drained)(void *arg, bool alive), void *arg);
/* `whole` false: the answer broke off; the connection is cut so that the client notices. */
void http_reply_end(struct http_request *req, bool whole);

#endif
