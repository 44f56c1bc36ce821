/*
 * POST /admin/add-volume: a volume joins the store, or comes back under another address.
 *
 * Who answers at the address is asked first. A volume that the store knows by its identity, and
 * that does not answer any more where it was, is reached at the new address from now on; its name,
 * and with it all records, stay. While it does answer there (a directory was copied, or there are
 * two ways to one volume) that is refused: 409.
 *
 * Without anybody there, or with a server that has no identity, the address becomes the name of a
 * new volume. A volume that registers itself tells its identity (`Larder-Identity`), and is taken
 * only where the master finds that one there: 503 or 409 else.
 *
 * `replace`: whoever answers at the address is the volume of that name (or that is reached there)
 * from now on, whatever was there before.
 */
#ifndef LARDER_MASTER_JOIN_H
#define LARDER_MASTER_JOIN_H

struct http_request;
struct worker;

/* `address` is normalized (placement_volume_name()), and copied. The body of the request has been
 * read; its answer is given here. */
void join_start(struct worker *worker, struct http_request *req, const char *address);

#endif
