/* What add-volume, drain and remove-volume share: requests whose body is a volume's name. */
#ifndef LARDER_TOOLS_MEMBER_H
#define LARDER_TOOLS_MEMBER_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/placement.h"

struct client;

/* Makes a name of what stands on the command line; false (said) where it is none. */
bool member_name(const char *text, char name[VOLUME_NAME_MAX + 1]) MUST_CHECK;

/* Posts the name to `path`. True where the master did it; what it answers goes to standard output.
 * Else it has said why; `doing` is "add the volume". */
bool member_post(struct client *client, const char *path, const char *name,
                 const char *doing) MUST_CHECK;

#endif
