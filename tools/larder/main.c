/* larder: `larder COMMAND …`; main.c knows the commands by name, and nothing of what they do. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_client.h"
#include "common/version.h"
#include "tools/larder/commands.h"
#include "tools/larder/say.h"

/* A row of the help, and what is called. */
struct command {
    const char *name;
    const char *title; /* argv[0] of the command: what its messages begin with */
    const char *what;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"put", "larder put", "stores a value", put_run},
    {"get", "larder get", "reads a value", get_run},
    {"rm", "larder rm", "deletes keys", rm_run},
    {"unlink", "larder unlink", "hides keys, and keeps their values", unlink_run},
    {"ls", "larder ls", "lists keys", ls_run},
    {"stat", "larder stat", "shows where a key's copies are, and whether they are there", stat_run},
    {"status", "larder status", "shows the state of the master and its volumes", status_run},
    {"add-volume", "larder add-volume", "gives the master another volume", addvolume_run},
    {"drain", "larder drain", "moves everything off a volume", drain_run},
    {"remove-volume", "larder remove-volume", "takes a volume out of the store", removevolume_run},
    {"repair", "larder repair", "makes the copies that keys lack", repair_run},
    {"scrub", "larder scrub", "has all values read and compared, and repaired", scrub_run},
    {"watch", "larder watch", "prints what happens to keys", watchkeys_run},
    {"backup", "larder backup", "writes the index of a running master to a file", backup_run},
    {"restore", "larder restore", "makes an index of a backup", restore_run},
    {"rebuild", "larder rebuild", "makes a new index from the volumes", rebuild_run},
    {"rebalance", "larder rebalance", "moves values to where placement wants them", rebalance_run},
    {"verify", "larder verify", "compares the index with the volumes", verify_run},
    {"bench", "larder bench", "loads a store with requests, and measures", bench_run},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

/* By the whole name: an abbreviation would mean something else when a command is added. */
static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* To standard output, as it was asked for; a wrong usage goes to standard error. */
static int help(void)
{
    say("Usage: larder [-m URL] COMMAND [ARGUMENT]...\n"
        "The command-line tool of a larder blob store.\n\nCommands:\n");
    for (size_t i = 0; i < COMMANDS; i++)
        say("  %-13s %s\n", commands[i].name, commands[i].what);
    say("  %-13s %s\n", "help", "this text; 'larder help COMMAND' tells more");
    say("\nThe master is given by -m URL, or in the environment as LARDER_MASTER, else it is\n"
        "http://127.0.0.1:3000; several, with commas between, are tried one after the other.\n"
        "KEY is written as in a URL: %%XX is the byte XX, every other byte stands for itself; its\n"
        "leading '/' may be left off.\n"
        "Exit status: 0 all went well, 1 it failed, 2 wrong usage.\n");
    return say_flush() ? EXIT_WELL : EXIT_FAILED;
}

/* Not the whole help: the message would scroll away. */
static int unknown(const char *name)
{
    say_error("there is no command '%s'; see 'larder help'", name);
    return EXIT_TROUBLE;
}

/* The command gets its title as argv[0], which getopt puts before its messages. */
static int run(const struct command *command, int argc, char **argv)
{
    if (!http_client_global_init()) {
        say_error("libcurl could not be started");
        return EXIT_TROUBLE;
    }
    argv[0] = (char *)(uintptr_t)command->title;
    return command->run(argc, argv);
}

/* `larder help put` is `larder put --help`. */
static int run_help(int argc, char **argv)
{
    char option[] = "--help";
    const struct command *command = argc > 1 ? find(argv[1]) : NULL;
    if (argc <= 1)
        return help();
    if (!command)
        return unknown(argv[1]);
    char *arguments[] = {argv[1], option, NULL};
    return run(command, 2, arguments);
}

/* "-m URL" may stand before the command, too. Returns how many arguments that took. */
static int take_master(int argc, char **argv)
{
    static const char *const names[] = {"-m", "-master", "--master"};
    for (size_t i = 0; i < sizeof names / sizeof names[0] && argc > 1; i++) {
        size_t len = strlen(names[i]);
        const char *value = NULL;
        if (strcmp(argv[1], names[i]) == 0 && argc > 2)
            value = argv[2];
        else if (i > 0 && strncmp(argv[1], names[i], len) == 0 && argv[1][len] == '=')
            value = argv[1] + len + 1;
        if (value)
            return setenv("LARDER_MASTER", value, 1) ? 0 : value == argv[2] ? 2 : 1;
    }
    return 0;
}

/* A closed standard stream must not become a file that is opened later: what is said would go into
 * the index. Opened the wrong way round, so that its use is an error. */
static void keep_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

/* What comes before the command is taken here (-m, --version, --help); all else is the command's
 * own to parse. */
int main(int argc, char **argv)
{
    keep_streams();
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error that can be told */
    int taken = take_master(argc, argv);
    argc -= taken;
    argv += taken;
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-version") == 0) {
        say("larder %s\n", LARDER_VERSION);
        return say_flush() ? EXIT_WELL : EXIT_FAILED;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-help") == 0 || strcmp(name, "-h") == 0)
        return help();
    if (strcmp(name, "help") == 0)
        return run_help(argc - 1, argv + 1);
    if (!*name) {
        say_error("a command is missing; see 'larder help'");
        return EXIT_TROUBLE;
    }
    const struct command *command = find(name);
    return command ? run(command, argc - 1, argv + 1) : unknown(name);
}
