/*
 * larder-volume: options, start, stop.
 *
 * The main thread only waits for signals; loops, pool, scrub and the rest have threads of their
 * own, which server.c starts. Signals are blocked before the first of them is made, and so in all
 * of them.
 */
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

/* DRAIN_MS: what is under way at a stop may take so long. */
enum { DRAIN_MS = 10000, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* A connection may have three descriptors: itself, and of a small value that is written with others
 * its file and a directory. A job of the pool that is for one alone has up to four. As many
 * as are allowed are taken; fewer than all connections might need are said and served with, since
 * they are not needed at once. */
static void raise_limits(const struct config *config)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files))
        return;
    files.rlim_cur = files.rlim_max;
    rlim_t wanted = (rlim_t)config->max_connections * 3 + (rlim_t)config->pool_threads * 4 + 64;
    if (setrlimit(RLIMIT_NOFILE, &files) || files.rlim_max < wanted)
        log_event(LOG_WARN, "volume",
                  "open_files=%llu wanted=%llu advice=\"raise the limit (ulimit -Hn), or lower "
                  "--max-connections\"",
                  (unsigned long long)files.rlim_cur, (unsigned long long)wanted);
}

/* A peer that goes away (SIGPIPE: sendfile raises it) and a limit on the size of files are errors
 * of calls, not ends of the process. A terminal that closes is none either. SIGTERM and SIGINT are
 * waited for below. */
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

/* From the start to a signal. 0 also where requests had to be cut: what was acknowledged is on the
 * disk, and a restart finds it. */
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
    /* Values are to be readable for nginx, or whatever else is to serve them one day. */
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
