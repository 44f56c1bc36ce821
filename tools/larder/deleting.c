/*
 * rm and unlink: one request a key, and the same messages. Only the method, and what it is called,
 * differ.
 */
#include "tools/larder/deleting.h"

#include <stdbool.h>
#include <stddef.h>

#include "common/key.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"

/* 204 alone is success: a 202 or a 200 would be another server's. */
static bool delete_key(struct client *client, const char *method, const char *doing,
                       const struct key *key)
{
    enum status st = client_key_request(client, method, key, "");
    if (!st && client_status(client) == 204)
        return true;
    client_explain(client, st, doing, key);
    return false;
}

/* What the option parser hands through to delete_keys(). */
struct deleting {
    const char *method, *doing;
};

/* All of them are tried, also after one has failed: a list of keys from a script should be done as
 * far as it can be. A wrong KEY outweighs a failure in the exit status, since it is the caller's
 * fault. */
static int delete_keys(void *arg, const char *master, bool raw, char *const *texts, int count)
{
    const struct deleting *deleting = arg;
    struct client *client = client_new(master);
    int result = client ? EXIT_WELL : EXIT_TROUBLE;
    for (int i = 0; client && i < count; i++) {
        struct key key;
        if (!arguments_key(texts[i], raw, &key))
            result = EXIT_TROUBLE;
        else if (!delete_key(client, deleting->method, deleting->doing, &key) &&
                 result == EXIT_WELL)
            result = EXIT_FAILED;
    }
    client_free(client);
    return result;
}

int deleting_run(const char *command, const char *method, const char *doing, const char *summary,
                 int argc, char **argv)
{
    struct deleting deleting = {method, doing};
    const struct arguments_command of = {command, "KEY...",    summary,  1,
                                         argc,    delete_keys, &deleting};
    return arguments_run(&of, argc, argv);
}
