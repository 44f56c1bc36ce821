/*
 * Who may have this volume fetch copies: its masters, told by the address that a request comes
 * from. With --master these are all addresses of the hosts in that list; without, the first host
 * that ever told the volume its name, which only masters do.
 *
 * Any thread; what may block (names, a disk) says so.
 */
#ifndef LARDER_VOLUME_MASTERS_H
#define LARDER_VOLUME_MASTERS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"

struct masters;
struct option_list;

/* Of a text of masters_refuse(). */
enum { MASTERS_ADVICE = 512 };

/* `list`: "host:port" each, may be names: they are resolved now, which blocks; it outlives the
 * masters. Where it is empty, the first address that masters_named() is told of is kept in
 * dir_fd/master. dir_fd stays the caller's. NULL: no memory. */
struct masters *masters_new(const struct option_list *list, int dir_fd) MUST_CHECK;
/* NULL is fine. */
void masters_free(struct masters *masters);

/* Somebody tells the volume its name, as masters do. `peer`, here and below: of his request,
 * "address:port". Blocks: names may be resolved again, an address written. */
void masters_named(struct masters *masters, const char *peer);

/* By what is known. */
bool masters_know(struct masters *masters, const char *peer) MUST_CHECK;
/* Whether masters_look_up() would look now: so one who is not known may turn out to be a master. */
bool masters_may_look(struct masters *masters) MUST_CHECK;
/* By names that are resolved anew, where that has not been done within the last seconds and nobody
 * is about it: addresses change, and a name may have more than one answer tells. Blocks, for as
 * long as the resolver takes. */
bool masters_look_up(struct masters *masters, const char *peer) MUST_CHECK;

/* What to tell one who is not known, and the operator: it goes to the log, too, once for each
 * address and for so many addresses only. */
void masters_refuse(struct masters *masters, const char *peer, char advice[MASTERS_ADVICE]);

#endif
