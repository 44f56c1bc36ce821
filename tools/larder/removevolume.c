/*
 * larder remove-volume: one request; the master refuses (409) while records name the volume, and
 * says how many. With --lost it takes the volume out all the same, and has those copies made anew
 * from the others.
 */
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/member.h"
#include "tools/larder/say.h"

/* The exit status. The advice comes behind the master's own reason, which member_post() has said.
 */
static int remove_volume(const char *master, const char *volume, bool lost)
{
    char name[VOLUME_NAME_MAX + 1];
    if (!member_name(volume, name))
        return EXIT_TROUBLE;
    struct client *client = client_new(master);
    if (!client)
        return EXIT_TROUBLE;
    const char *path = lost ? "/admin/remove-volume?lost" : "/admin/remove-volume";
    bool good = member_post(client, path, name, "remove the volume");
    if (!good && !lost && client_status(client) == 409)
        say_error("'larder drain %s' moves them away; with --lost they are given up", name);
    client_free(client);
    return say_flush() && good ? EXIT_WELL : EXIT_FAILED;
}

int removevolume_run(int argc, char **argv)
{
    char *master = NULL;
    bool lost = false;
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &master, 0, 0, NULL, "URL", "the master"},
        {"lost", 0, OPTION_FLAG, &lost, 0, 0, NULL, NULL,
         "also while keys have copies there: they are made anew from the other copies"},
    };
    const struct option_program program = {
        "larder remove-volume", "[OPTION]... VOLUME",
        "Takes a volume out of the store. Refused while keys have copies there: 'larder drain' "
        "moves\n"
        "them away. Leave the volume out of the master's --volumes afterwards. 'larder "
        "add-volume'\n"
        "takes it back.\n"
        "Exit status: 0 it is out, 1 it is not, 2 wrong usage.",
        options, sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && arguments_fit("larder remove-volume", argc - rest, 1, 1))
        result = remove_volume(master, argv[rest], lost);
    options_free(&program);
    return result;
}
