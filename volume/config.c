/*
 * The options of larder-volume: one table for the command line, the config file and --help
 * (common/options.h), then what no table can say: what is required, and which options need each
 * other. Everything is checked here, so that the rest of the program can rely on it.
 */
#include "volume/config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/placement.h"

/* MAX_THREADS is for machines with very many cores, as for a slip of the finger. */
enum { OPTIONS = 13, MAX_THREADS = 64 };

static const char name[] = "larder-volume";

/* The table of options, whose targets are in *config. Made anew for every use, because the targets
 * are in a struct of the caller's; it only has pointers. */
static void make_table(struct config *c, struct option_spec table[OPTIONS])
{
    const struct option_spec rows[OPTIONS] = {
        {"port", 'p', OPTION_UNSIGNED, &c->port, 0, 65535, NULL, "PORT",
         "port to listen on (default 3001; 0: any free one)"},
        {"listen", 0, OPTION_TEXT, &c->listen, 0, 0, NULL, "ADDRESS",
         "address to listen on (default 127.0.0.1)"},
        {"dir", 'd', OPTION_TEXT, &c->dir, 0, 0, NULL, "DIR",
         "where values live; made where it is missing"},
        {"master", 'm', OPTION_LIST, &c->masters, 0, 0, NULL, "HOST:PORT,...",
         "masters to register at; readers of a missing value are sent to the first"},
        {"base", 'b', OPTION_TEXT, &c->base, 0, 0, NULL, "HOST:PORT[/PATH]",
         "under which address masters and readers reach this volume (default: where it listens)"},
        {"sync", 0, OPTION_CHOICE, &c->sync, 0, 0, "full|none", "full|none",
         "none: no fsync anywhere, for comparisons only (default full)"},
        {"threads", 0, OPTION_UNSIGNED, &c->threads, 1, MAX_THREADS, NULL, "N",
         "event loops (default: one a core)"},
        {"pool-threads", 0, OPTION_UNSIGNED, &c->pool_threads, 1, 1024, NULL, "N",
         "threads that work on the disks (default 32)"},
        {"max-connections", 0, OPTION_UNSIGNED, &c->max_connections, 1, 1000000, NULL, "N",
         "more are answered 503 (default 4096)"},
        {"max-value", 0, OPTION_SIZE, &c->max_value, 0, 0, NULL, "SIZE",
         "larger values are refused (default 0: no limit)"},
        {"reserve", 0, OPTION_SIZE, &c->reserve, 0, 0, NULL, "SIZE",
         "new values leave so much room on each disk (default: the smaller of 1GiB and 5 %)"},
        {"scrub-days", 0, OPTION_UNSIGNED, &c->scrub_days, 0, 3650, NULL, "DAYS",
         "in which every value is read once and compared with its MD5 (default 30; 0: never)"},
        {"log-level", 0, OPTION_CHOICE, &c->log_level, 0, 0, "debug|info|warn|error", "LEVEL",
         "debug, info, warn or error (default info)"},
    };
    memcpy(table, rows, sizeof rows);
}

/* The table must outlive what is returned, which points to it. */
static struct option_program make_program(const struct option_spec *table)
{
    return (struct option_program){
        .name = name,
        .synopsis = "--dir DIR [OPTION]...",
        .summary = "Keeps values as plain files below DIR, and serves them by HTTP.",
        .options = table,
        .count = OPTIONS,
    };
}

/* 32 threads: so many that fsync reached about four times the files a second of one (the journal
 * groups them). */
static bool set_defaults(struct config *c)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    *c = (struct config){
        .port = 3001,
        .listen = strdup("127.0.0.1"),
        .base_path = "",
        .sync = CONFIG_SYNC_FULL,
        .threads = cores < 1             ? 1
                   : cores > MAX_THREADS ? MAX_THREADS
                                         : (unsigned)cores,
        .pool_threads = 32,
        .log_level = LOG_INFO,
        .max_connections = 4096,
        .reserve = ULLONG_MAX,
        .scrub_days = 30,
    };
    return c->listen != NULL;
}

/* Replaces what the operator wrote by the name without scheme and trailing '/': masters compare the
 * base with the names that they know, byte by byte. */
static bool normalize(const char *option, char **text)
{
    char host[VOLUME_NAME_MAX + 1];
    if (placement_volume_name(*text, strlen(*text), host)) {
        (void)fprintf(
            stderr, "%s: --%s: '%s' is not HOST:PORT or http://HOST:PORT, with an optional path\n",
            name, option, *text);
        return false;
    }
    char *copy = strdup(host);
    if (!copy) {
        (void)fprintf(stderr, "%s: out of memory\n", name);
        return false;
    }
    free(*text);
    *text = copy;
    return true;
}

/* Nobody can reach a volume under the address that means 'all of mine'. */
static bool is_any_address(const char *listen)
{
    return !strcmp(listen, "0.0.0.0") || !strcmp(listen, "::") || !strcmp(listen, "*");
}

/* False: said what is wrong, and what is asked for. */
static bool check(struct config *c)
{
    if (!c->dir || !c->dir[0]) {
        (void)fprintf(stderr, "%s: --dir DIR is required: where are the values to be kept?\n",
                      name);
        return false;
    }
    for (size_t i = 0; i < c->masters.count; i++)
        if (!normalize("master", &c->masters.items[i]))
            return false;
    if (c->base) {
        if (!normalize("base", &c->base))
            return false;
        const char *slash = strchr(c->base, '/');
        c->base_path = slash ? slash : "";
    } else if (c->masters.count > 0 && is_any_address(c->listen)) {
        (void)fprintf(stderr,
                      "%s: --base HOST:PORT is required with --master and --listen %s: "
                      "under which address do others reach this volume?\n",
                      name, c->listen);
        return false;
    }
    return true;
}

/* The defaults are in place before the parsing, which replaces them. Texts among them are
 * malloc'ed, as options.h wants, so that config_free() frees whatever is there. */
enum options_result config_parse(struct config *config, int argc, char **argv)
{
    struct option_spec table[OPTIONS];
    int rest = argc;
    make_table(config, table);
    if (!set_defaults(config)) {
        (void)fprintf(stderr, "%s: out of memory\n", name);
        return OPTIONS_BAD;
    }
    struct option_program program = make_program(table);
    enum options_result result = options_parse(&program, argc, argv, &rest);
    if (result == OPTIONS_OK && rest < argc) {
        (void)fprintf(stderr, "%s: '%s' is no option; see --help\n", name, argv[rest]);
        result = OPTIONS_BAD;
    }
    if (result == OPTIONS_OK && !check(config))
        result = OPTIONS_BAD;
    if (result != OPTIONS_OK)
        config_free(config);
    return result;
}

void config_free(struct config *config)
{
    struct option_spec table[OPTIONS];
    make_table(config, table);
    struct option_program program = make_program(table);
    options_free(&program);
}

char *config_base(const struct config *config, uint16_t port)
{
    char *base = NULL;
    if (config->base)
        return strdup(config->base);
    /* An IPv6 address stands in brackets in a URL (RFC 3986, 3.2.2). */
    bool v6 = strchr(config->listen, ':') != NULL;
    if (asprintf(&base, v6 ? "[%s]:%u" : "%s:%u", config->listen, port) < 0)
        return NULL;
    return base;
}
