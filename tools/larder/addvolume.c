/*
 * larder add-volume: one request. The master does it all, and says whether the volume was new,
 * there already, or has moved; this prints its words. With --replace the path has a query: what
 * answers at BASE is then accepted as the volume, whatever identity it shows.
 */
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/member.h"
#include "tools/larder/say.h"

/* The exit status. A bad name or URL is found before anything is sent. */
static int add_volume(const char *master, const char *base, bool replace)
{
    char name[VOLUME_NAME_MAX + 1];
    if (!member_name(base, name))
        return EXIT_TROUBLE;
    struct client *client = client_new(master);
    if (!client)
        return EXIT_TROUBLE;
    const char *path = replace ? "/admin/add-volume?replace" : "/admin/add-volume";
    bool good = member_post(client, path, name, "add the volume");
    client_free(client);
    return say_flush() && good ? EXIT_WELL : EXIT_FAILED;
}

int addvolume_run(int argc, char **argv)
{
    char *master = NULL;
    bool replace = false;
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &master, 0, 0, NULL, "URL", "the master"},
        {"replace", 0, OPTION_FLAG, &replace, 0, 0, NULL, NULL,
         "what answers there now is the volume from now on, whatever it was before"},
    };
    const struct option_program program = {
        "larder add-volume", "[OPTION]... BASE",
        "Gives the master another volume, BASE being its host:port[/path]. New values go there at\n"
        "once; 'larder rebalance' moves old ones. Prints what the master says.\n"
        "A volume whose disks were lost or exchanged is 'foreign' in 'larder status', and is not\n"
        "used: --replace accepts it as it is now; 'larder rebalance --all' then copies back what "
        "it\nlacks.\n"
        "Exit status: 0 it has it (also where it had it before), 1 it has not, 2 wrong usage.",
        options, sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && arguments_fit("larder add-volume", argc - rest, 1, 1))
        result = add_volume(master, argv[rest], replace);
    options_free(&program);
    return result;
}
