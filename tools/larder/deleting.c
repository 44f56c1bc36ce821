#include "tools/larder/deleting.h"

#include <stdbool.h>
#include <stddef.h>

#include "common/key.h"
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"

static bool delete_key(struct client *client, const char *method, const char *doing,
                       const struct key *key)
{
    enum status st = client_key_request(client, method, key, "");
    if (!st && client_status(client) == 204)
        return true;
    client_explain(client, st, doing, key);
    return false;
}

/* All of them are tried, also after one has failed. */
static int delete_keys(const char *master, const char *method, const char *doing, bool raw,
                       char *const *texts, int count)
{
    struct client *client = client_new(master);
    int result = client ? EXIT_WELL : EXIT_TROUBLE;
    for (int i = 0; client && i < count; i++) {
        struct key key;
        if (!arguments_key(texts[i], raw, &key))
            result = EXIT_TROUBLE;
        else if (!delete_key(client, method, doing, &key) && result == EXIT_WELL)
            result = EXIT_FAILED;
    }
    client_free(client);
    return result;
}

int deleting_run(const char *command, const char *method, const char *doing, const char *summary,
                 int argc, char **argv)
{
    char *master = NULL;
    bool raw = false;
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &master, 0, 0, NULL, "URL", "the master"},
        {"raw", 0, OPTION_FLAG, &raw, 0, 0, NULL, NULL, "KEY is not percent-encoded"},
    };
    const struct option_program program = {command, "KEY...", summary, options,
                                           sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && arguments_fit(command, argc - rest, 1, argc))
        result = delete_keys(master, method, doing, raw, argv + rest, argc - rest);
    options_free(&program);
    return result;
}
