/* larder-volume: options, start, stop. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/http_client.h"
#include "common/log.h"
#include "volume/config.h"
#include "volume/disk.h"
#include "volume/server.h"

enum { DRAIN_MS = 10000, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* A connection has up to three descriptors: itself, a file, a directory. */
static void raise_limits(const struct config *config)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files))
        return;
    files.rlim_cur = files.rlim_max;
    rlim_t wanted = (rlim_t)config->max_connections * 2 + (rlim_t)config->pool_threads * 4 + 64;
    if (setrlimit(RLIMIT_NOFILE, &files) || files.rlim_max < wanted)
        log_event(LOG_WARN, "volume",
                  "open_files=%llu wanted=%llu advice=\"raise the limit (ulimit -Hn), or lower "
                  "--max-connections\"",
                  (unsigned long long)files.rlim_cur, (unsigned long long)wanted);
}

/* A peer that goes away and a limit on the size of files are errors of calls, not ends of the
 * process. SIGTERM and SIGINT are waited for below. */
static void prepare_signals(sigset_t *stops)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)sigemptyset(stops);
    (void)sigaddset(stops, SIGTERM);
    (void)sigaddset(stops, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, stops, NULL);
}

static int run(const struct config *config, const sigset_t *stops)
{
    struct server *server;
    int signal_number = 0;
    const struct disk *disk = config->sync == CONFIG_SYNC_FULL ? &disk_real : &disk_unsynced;
    if (server_start(&server, config, disk))
        return EXIT_FAILED;
    while (sigwait(stops, &signal_number))
        continue;
    log_event(LOG_INFO, "volume", "signal=%d doing=\"finish what is under way\"", signal_number);
    /* A second signal ends it at once. */
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)pthread_sigmask(SIG_UNBLOCK, stops, NULL);
    if (server_stop(server, DRAIN_MS)) {
        server_free(server);
        return 0;
    }
    log_event(LOG_WARN, "volume", "error=\"requests were still under way after %d s\"",
              DRAIN_MS / 1000);
    _exit(0); /* their threads may be stuck in a disk: nothing can be freed */
}

int main(int argc, char **argv)
{
    struct config config;
    sigset_t stops;
    switch (config_parse(&config, argc, argv)) {
    case OPTIONS_OK:
        break;
    case OPTIONS_EXIT:
        return 0;
    default:
        return EXIT_USAGE;
    }
    log_set_level((enum log_level)config.log_level);
    (void)umask(022);
    prepare_signals(&stops);
    raise_limits(&config);
    int code = EXIT_FAILED;
    if (http_client_global_init())
        code = run(&config, &stops);
    else
        (void)fprintf(stderr, "larder-volume: libcurl cannot be used\n");
    config_free(&config);
    return code;
}
