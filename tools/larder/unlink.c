/*
 * larder unlink: UNLINK of each key; deleting.c does the rest.
 */
#include "tools/larder/commands.h"
#include "tools/larder/deleting.h"

int unlink_run(int argc, char **argv)
{
    return deleting_run(
        "larder unlink", "UNLINK", "unlink",
        "Hides keys: readers do not find them any more, their values are kept until 'larder rm'.\n"
        "'larder ls --unlinked' lists them. Prints nothing where it went well.\n"
        "Exit status: 0 all are hidden, 1 some could not be (or were not there), 2 wrong usage.",
        argc, argv);
}
