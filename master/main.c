/*
 * larder-master: options, start, signals, stop.
 *
 * The main thread does nothing but wait for signals: they are blocked in all threads and taken by
 * sigwait(), so no handler ever interrupts anything, and nothing needs to be safe inside of one.
 * minikeyvalue's commands (server, rebuild, rebalance) are here too, for those who have them in
 * scripts.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/log.h"
#include "master/config.h"
#include "master/server.h"

enum { EXIT_USAGE = 2 };

/* Every client and every copy under way needs a descriptor. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* The windows of values come and go in all orders. Left to itself, malloc raises its threshold with
 * the first that is freed, takes all that follow out of its arenas, and gives back nothing that
 * lies below something still in use: 8 clients with values of 4 MB made 43 MB of it, and make 14
 * where each window is a mapping of its own. */
static void keep_memory_small(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

/* Before the first thread is made, which then inherits it. SIGPIPE: a client that is gone is an
 * error of send(), not the end. */
static void block_signals(sigset_t *wanted)
{
    (void)sigemptyset(wanted);
    (void)sigaddset(wanted, SIGTERM);
    (void)sigaddset(wanted, SIGINT);
    (void)sigaddset(wanted, SIGCHLD);
    (void)pthread_sigmask(SIG_BLOCK, wanted, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* --- minikeyvalue's commands: server, rebuild, rebalance --- */

/* The larder tool stands beside this program; else it is looked for in PATH. */
static void tool_path(const char *self, struct buf *path)
{
    const char *slash = strrchr(self, '/');
    if (slash)
        buf_add(path, self, (size_t)(slash - self) + 1);
    buf_adds(path, "larder");
}

/* `larder-master --db D --volumes V rebuild` is `larder rebuild` with the same options. */
static int exec_rebuild(const struct config *config, const char *self)
{
    struct buf path = BUF_INIT;
    struct buf volumes = BUF_INIT;
    char replicas[16];
    char subvolumes[16];
    tool_path(self, &path);
    for (size_t i = 0; i < config->volumes.count; i++)
        buf_addf(&volumes, "%s%s", i ? "," : "", config->volumes.items[i]);
    (void)snprintf(replicas, sizeof replicas, "%u", config->replicas);
    (void)snprintf(subvolumes, sizeof subvolumes, "%u", config->subvolumes);
    if (buf_ok(&path) && buf_ok(&volumes))
        (void)execlp(buf_text(&path), "larder", "rebuild", "--db", config->db, "--volumes",
                     buf_text(&volumes), "--replicas", replicas, "--subvolumes", subvolumes,
                     (char *)NULL);
    (void)fprintf(stderr, "larder-master: cannot run %s: %s\n", buf_text(&path), strerror(errno));
    return EXIT_FAILURE;
}

/* `… rebalance` runs `larder rebalance` against this master, which then stops. */
static pid_t fork_rebalance(const struct config *config, const char *self, unsigned port)
{
    struct buf path = BUF_INIT;
    struct buf url = BUF_INIT;
    tool_path(self, &path);
    buf_addf(&url, "http://%s:%u", config->listen, port);
    pid_t child = buf_ok(&path) && buf_ok(&url) ? fork() : -1;
    if (child == 0) {
        sigset_t none;
        (void)sigemptyset(&none);
        (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
        (void)execlp(buf_text(&path), "larder", "-m", buf_text(&url), "rebalance", (char *)NULL);
        _exit(127);
    }
    buf_free(&path);
    buf_free(&url);
    return child;
}

/* --- running --- */

/* Waits for a signal to stop, or for `child` (where there is one) to end; the exit status. */
static int wait_for_end(const sigset_t *wanted, pid_t child)
{
    for (;;) {
        int number = 0;
        if (sigwait(wanted, &number))
            continue;
        if (number != SIGCHLD) {
            log_event(LOG_INFO, "master", "event=stopping signal=%s", strsignal(number));
            return EXIT_SUCCESS;
        }
        int status;
        if (child > 0 && waitpid(child, &status, WNOHANG) == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
    }
}

/* The exit status. libcurl's global part is started before there are threads, as it demands. */
static int serve(const struct config *config, const char *self, bool rebalance)
{
    sigset_t wanted;
    struct server *server;
    block_signals(&wanted);
    raise_descriptor_limit();
    keep_memory_small();
    if (!http_client_global_init()) {
        (void)fprintf(stderr, "larder-master: libcurl cannot be used here\n");
        return EXIT_FAILURE;
    }
    if (server_start(&server, config))
        return EXIT_FAILURE;
    log_event(LOG_INFO, "master", "event=listening address=%s port=%u db=\"%s\" replicas=%u",
              config->listen, server_port(server), config->db, config->replicas);
    pid_t child = -1;
    int result = EXIT_FAILURE;
    if (rebalance)
        child = fork_rebalance(config, self, server_port(server));
    if (!rebalance || child > 0)
        result = wait_for_end(&wanted, child);
    if (!server_stop(server))
        _exit(result); /* threads still work on what was cut off */
    log_event(LOG_INFO, "master", "event=stopped");
    return result;
}

int main(int argc, char **argv)
{
    struct config config;
    int rest;
    int result = EXIT_USAGE;
    enum options_result options = config_read(&config, argc, argv, &rest);
    if (options == OPTIONS_EXIT) {
        result = EXIT_SUCCESS;
    } else if (options == OPTIONS_OK) {
        const char *command = rest < argc ? argv[rest] : "server";
        log_set_level((enum log_level)config.log_level);
        if (strcmp(command, "server") == 0)
            result = serve(&config, argv[0], false);
        else if (strcmp(command, "rebalance") == 0)
            result = serve(&config, argv[0], true);
        else if (strcmp(command, "rebuild") == 0)
            result = exec_rebuild(&config, argv[0]);
        else
            (void)fprintf(stderr,
                          "larder-master: '%s' is no command: server, rebuild or rebalance\n",
                          command);
    }
    config_free(&config);
    return result;
}
