/*
 * Requests to the master, or to one of several: where one does not answer the next is asked. One
 * client a thread.
 */
#ifndef LARDER_TOOLS_CLIENT_H
#define LARDER_TOOLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "common/status.h"

struct buf;
struct client;
struct http_call_spec;
struct json;
struct key;

/* `masters`: URLs with commas between, "http://" may be left off; NULL: LARDER_MASTER of the
 * environment, else http://127.0.0.1:3000. NULL (said) where one is no URL. */
struct client *client_new(const char *masters) MUST_CHECK;
void client_free(struct client *client);

/* "http://host:port" of each, ended by NULL. */
const char *const *client_masters(const struct client *client);

/* Sends a request; `path` begins with '/' and is encoded, and may have a query. Blocks. ST_OK:
 * there is an answer, of any HTTP status. ST_UNAVAILABLE: no master could be connected to;
 * ST_PEER_TIMEOUT, ST_PEER: one did not answer, or not to the end, and may have done it all the
 * same; ST_NO_MEMORY. */
enum status client_request(struct client *client, const char *method, const char *path) MUST_CHECK;
/* The same for /KEY; `query` begins with '?', or is "". */
enum status client_key_request(struct client *client, const char *method, const struct key *key,
                               const char *query) MUST_CHECK;
/* POST of a short text; NULL: without a body. */
enum status client_post(struct client *client, const char *path, const char *text) MUST_CHECK;
/* From now on this header ("Name: value", the caller's) goes with each client_post(). */
void client_post_with(struct client *client, const char *field);
/* As client_request; all but the URL is in the spec. A 307, by which one of several masters points
 * to the one that writes, is followed, but for one whose body is read in pieces:
 * client_find_writer() first. */
enum status client_send(struct client *client, const struct http_call_spec *spec,
                        const char *path) MUST_CHECK;

/* Whether the master whose /admin/status this is writes: it is alone, and says nothing of a
 * cluster, or of several the one that does. */
bool client_is_writer(const struct json *status);
/* Asks who of several masters writes: the next request goes there. (Where there is one master only
 * it changes nothing.) */
void client_find_writer(struct client *client);

/* Of the last answer; they stay until the next request. */
int client_status(const struct client *client);
const char *client_field(const struct client *client, const char *name);
const char *client_body(const struct client *client, size_t *len);

/* The answer's body as JSON, NULL where it is none. json_free() it. */
struct json *client_json(const struct client *client) MUST_CHECK;

/* Appends the first line of the last answer, where it is text for people; false where there is
 * none. */
bool client_reason(const struct client *client, struct buf *out);

/* Says why the last request did not do what it should: "could not put /a: HOST answered 403 …".
 * `key` may be NULL. */
void client_explain(const struct client *client, enum status st, const char *doing,
                    const struct key *key);

#endif
