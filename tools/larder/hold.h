/*
 * A repair of a restored index as the only one: the master refuses all others while it is heard of
 * (PROTOCOL, 'Restored indexes'). A thread has it heard of, however long the look at the volumes
 * takes.
 */
#ifndef LARDER_TOOLS_HOLD_H
#define LARDER_TOOLS_HOLD_H

#include "common/attr.h"

struct client;
struct hold;

/* From now on what `client` posts bears a new name. The thread asks the masters by a client of its
 * own (`masters`: as for client_new()), the first time after a while: until then reunite_begin()
 * should have got the word of the master. NULL: no memory, or no random name; it was said. */
struct hold *hold_new(struct client *client, const char *masters) MUST_CHECK;
/* Another may begin. The client goes without the name again. NULL is fine. */
void hold_free(struct hold *hold);

#endif
