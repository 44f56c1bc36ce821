/* What `rm` and `unlink` have in common: one request for each of many keys. */
#ifndef LARDER_TOOLS_DELETING_H
#define LARDER_TOOLS_DELETING_H

/* `command` is "larder rm", `method` the request's, `doing` the verb of its messages. The exit
 * status of the program. */
int deleting_run(const char *command, const char *method, const char *doing, const char *summary,
                 int argc, char **argv);

#endif
