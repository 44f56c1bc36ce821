/*
 * The one list of what can go wrong. It makes the enum, the text for people and the HTTP status.
 * Functions that can fail return `enum status`; ST_OK is 0, so `if (st)` reads as 'if it failed'.
 */
#ifndef LARDER_COMMON_STATUS_H
#define LARDER_COMMON_STATUS_H

/*  X(name, HTTP status, text for people)
 *
 * ST_OK first, because it must be 0; else in the order of the HTTP status, but for the last three:
 * ST_CLOSED reaches a client only where it has closed no more than its sending side; the others
 * belong to the start of a program. */
#define STATUS_LIST(X)                                                                             \
    X(ST_OK, 200, "ok")                                                                            \
    X(ST_BAD_REQUEST, 400, "the request is malformed")                                             \
    X(ST_EXISTS, 403, "the key exists, and this master runs without --overwrite")                  \
    X(ST_PROTECTED, 403, "the key must be unlinked before it can be deleted (--protect)")          \
    X(ST_FORBIDDEN, 403, "only a master of this volume may ask for that")                          \
    X(ST_NOT_FOUND, 404, "not found")                                                              \
    X(ST_METHOD, 405, "the method is not known here")                                              \
    X(ST_TIMEOUT, 408, "the client took too long")                                                 \
    X(ST_CONFLICT, 409, "another write or delete of the key is under way; try again")              \
    X(ST_GONE, 410, "it is not kept any more; begin anew")                                         \
    X(ST_LENGTH_REQUIRED, 411, "a value must have a length, and may not be empty")                 \
    X(ST_TOO_LARGE, 413, "the value is larger than this server accepts")                           \
    X(ST_URI_TOO_LONG, 414, "the key or the URI is too long")                                      \
    X(ST_RANGE, 416, "the range is outside of the value")                                          \
    X(ST_EXPECTATION, 417, "only Expect: 100-continue is known")                                   \
    X(ST_DIGEST, 422, "the value does not match the Content-MD5 that came with it")                \
    X(ST_HEAD_TOO_LARGE, 431, "the request head is too large")                                     \
    X(ST_INTERNAL, 500, "internal error")                                                          \
    X(ST_NO_MEMORY, 500, "out of memory")                                                          \
    X(ST_IO, 500, "input/output error")                                                            \
    X(ST_CORRUPT, 500, "stored data is damaged; see 'recovering' in the README")                   \
    X(ST_NOT_IMPLEMENTED, 501, "not implemented")                                                  \
    X(ST_PEER, 502, "a volume gave an answer that was not expected")                               \
    X(ST_UNAVAILABLE, 503, "not enough volumes are up; try again later")                           \
    X(ST_NOT_WRITER, 503, "this master does not take changes at the moment; try again")            \
    X(ST_UNKNOWN, 503, "the change may have been made or not; look before trying again")           \
    X(ST_LAGGING, 503, "this master is not up to date; try again, or another, or with ?stale")     \
    X(ST_BUSY, 503, "too many requests at once; try again later")                                  \
    X(ST_READ_ONLY, 503, "read-only after an error of its disk; writes are refused")               \
    X(ST_PEER_TIMEOUT, 504, "a volume did not answer in time")                                     \
    X(ST_HTTP_VERSION, 505, "only HTTP/1.0 and HTTP/1.1 are spoken")                               \
    X(ST_NO_SPACE, 507, "no space left")                                                           \
    X(ST_CLOSED, 400, "the connection was closed")                                                 \
    X(ST_LOCKED, 500, "in use by another process")                                                 \
    X(ST_FOREIGN, 500, "the directory is not the one it was")

enum status {
#define STATUS_ENUM(name, http, text) name,
    STATUS_LIST(STATUS_ENUM)
#undef STATUS_ENUM
};

/* A sentence fragment for people; never NULL. */
const char *status_text(enum status st);

/* The HTTP status that a client gets for it. */
int status_http(enum status st);

/* The status that stands for an errno of a file operation: ENOSPC, EDQUOT -> ST_NO_SPACE; ENOENT,
 * ENOTDIR -> ST_NOT_FOUND; EROFS -> ST_READ_ONLY; ENOMEM -> ST_NO_MEMORY; EMFILE, ENFILE ->
 * ST_BUSY; 0 -> ST_OK; all else ST_IO. So a caller that must know an errno of a disk (EIO) asks
 * errno itself. */
enum status status_of_errno(int err);

/* The standard reason phrase of an HTTP status code, "Unknown" for one that is not listed. */
const char *status_reason(int http);

#endif
