/* larder add-volume */
#include <stdio.h>
#include <string.h>

#include "common/http_client.h"
#include "common/options.h"
#include "common/placement.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/say.h"

enum { ANSWER_MS = 60 * 1000 };

/* The body of the request: a text, and how much of it is sent. */
struct body {
    const char *text;
    size_t len;
};

static size_t read_body(void *arg, char *to, size_t max)
{
    struct body *body = arg;
    size_t n = body->len < max ? body->len : max;
    memcpy(to, body->text, n);
    body->text += n;
    body->len -= n;
    return n;
}

static int add_volume(const char *master, const char *base)
{
    char name[VOLUME_NAME_MAX + 1];
    char doing[VOLUME_NAME_MAX + 32];
    if (placement_volume_name(base, strlen(base), name)) {
        say_error("'%s' is no volume: write host:port or host:port/path", base);
        return EXIT_TROUBLE;
    }
    struct client *client = client_new(master);
    if (!client)
        return EXIT_TROUBLE;
    struct body body = {name, strlen(name)};
    const struct http_call_spec spec = {.method = "POST",
                                        .has_body = true,
                                        .body_length = (int64_t)body.len,
                                        .read = read_body,
                                        .arg = &body,
                                        .timeout_ms = ANSWER_MS};
    enum status st = client_send(client, &spec, "/admin/add-volume");
    bool good = !st && client_status(client) == 200;
    if (good) {
        size_t len;
        const char *text = client_body(client, &len);
        say_bytes(text, len);
        if (len && text[len - 1] != '\n')
            say("\n");
    } else {
        (void)snprintf(doing, sizeof doing, "add the volume %s", name);
        client_explain(client, st, doing, NULL);
    }
    client_free(client);
    return good && say_flush() ? EXIT_WELL : EXIT_FAILED;
}

int addvolume_run(int argc, char **argv)
{
    char *master = NULL;
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &master, 0, 0, NULL, "URL", "the master"},
    };
    const struct option_program program = {
        "larder add-volume", "BASE",
        "Gives the master another volume, BASE being its host:port[/path]. New values go there at\n"
        "once; 'larder rebalance' moves old ones. Prints what the master says.\n"
        "Exit status: 0 it has it (also where it had it before), 1 it has not, 2 wrong usage.",
        options, sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && arguments_fit("larder add-volume", argc - rest, 1, 1))
        result = add_volume(master, argv[rest]);
    options_free(&program);
    return result;
}
