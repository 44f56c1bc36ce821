/*
 * larder rm: DELETE of each key; deleting.c does the rest.
 */
#include "tools/larder/commands.h"
#include "tools/larder/deleting.h"

int rm_run(int argc, char **argv)
{
    return deleting_run("larder rm", "DELETE", "delete",
                        "Deletes keys and their values. Under a master's --protect a key must be\n"
                        "unlinked first. Prints nothing where it went well.\n"
                        "Exit status: 0 all are deleted, 1 some could not be (or were not there),\n"
                        "2 wrong usage.",
                        argc, argv);
}
