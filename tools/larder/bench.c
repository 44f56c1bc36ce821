/*
 * larder bench: a load of requests on a server of this API, or on a plain web server, and how long
 * they took. The parts: benchplan what is asked; benchsize, benchvalue sizes and bytes of values;
 * benchloop a thread; benchclient what happens to an operation; benchtally, benchhist what is
 * counted; benchreport its output.
 *
 * Here are the command line, the threads and the wait for them. The main thread does no requests:
 * it watches for signals, shows progress and joins. Each other thread owns its loop and everything
 * below it; what they share is struct benchrun, of which only the atomic members change while they
 * run. So nothing is locked on the way of a request.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/benchloop.h"
#include "tools/larder/benchplan.h"
#include "tools/larder/benchreport.h"
#include "tools/larder/benchserver.h"
#include "tools/larder/benchtally.h"
#include "tools/larder/benchvalue.h"
#include "tools/larder/commands.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/progress.h"
#include "tools/larder/say.h"

/* A client takes a port for each server that it meets, and one address has about 28,000 of them
 * (ip_local_port_range): more clients would measure this machine's ports. */
enum { CLIENTS_MAX = 20000, THREADS_MAX = 64, KEYS_DEFAULT = 1000, SECONDS_DEFAULT = 10 };

/* The command line, as far as it is not the plan itself. */
struct bench {
    char *master;
    char *size;
    /* as written; take_number() reads them into the plan */
    char *keys, *count, *rate, *seed;
    unsigned duration_ms, timeout_ms;
    /* which of the choices, from 0; the plan has them as enums */
    unsigned op, order, check;
    bool json;
    struct benchplan plan;
};

/* The clock by which the threads count, too: what they say of when can be compared with it. */
static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* --- what is asked --- */

/* A number with k or M behind it (thousands), since keys are counted in millions. */
static bool take_number(const char *name, const char *text, uint64_t *number)
{
    if (!text)
        return true;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    unsigned long long unit = 1;
    if (*end == 'k' || *end == 'K')
        unit = 1000;
    else if (*end == 'm' || *end == 'M')
        unit = 1000000;
    end += unit > 1;
    bool good =
        *text >= '0' && *text <= '9' && *end == 0 && errno == 0 && value < UINT64_MAX / unit;
    if (!good)
        say_error("bench: --%s: '%s' is no number; write 1000, 10k or 1M", name, text);
    *number = value * unit;
    return good;
}

/* The server would refuse such keys one by one; here it is one message. */
static bool take_prefix(struct benchplan *plan)
{
    size_t len = strlen(plan->prefix);
    if (plan->prefix[0] == '/' && len <= BENCHPLAN_PREFIX_MAX)
        return true;
    say_error("bench: --prefix must begin with '/' and have %d bytes at most",
              BENCHPLAN_PREFIX_MAX);
    return false;
}

/* What an operation needs that was not given. A row of writes or deletes ends with its keys. */
static void fill_in(struct bench *bench)
{
    struct benchplan *plan = &bench->plan;
    bool writes = plan->op == BENCHPLAN_PUT || plan->op == BENCHPLAN_CYCLE;
    bool row = !plan->random && (plan->op == BENCHPLAN_PUT || plan->op == BENCHPLAN_DELETE);
    if (!plan->keys && !writes)
        plan->keys = KEYS_DEFAULT;
    if (row && plan->keys && (!plan->count || plan->count > plan->keys))
        plan->count = plan->keys;
    if (!plan->count && !bench->duration_ms)
        bench->duration_ms = SECONDS_DEFAULT * 1000;
    plan->duration_ns = (uint64_t)bench->duration_ms * 1000000;
    plan->timeout_ns = (uint64_t)bench->timeout_ms * 1000000;
    if (plan->threads > plan->clients)
        plan->threads = plan->clients;
}

/* Everything that is wrong is found here, before the first request: a store that is loaded with
 * something else than was meant may be somebody's. The URL is the argument, the option or the
 * environment's, as for the other commands. False: said. */
static bool make_plan(struct bench *bench, const char *url)
{
    struct benchplan *plan = &bench->plan;
    const char *why;
    if (!url)
        url = bench->master ? bench->master : getenv("LARDER_MASTER");
    if (!url || !*url)
        url = "http://127.0.0.1:3000";
    if (!benchplan_url(plan, url, &why)) {
        say_error("bench: '%s' is no URL to load: %s", url, why);
        return false;
    }
    if (!benchsize_parse(&plan->size, bench->size, &why)) {
        say_error("bench: --size %s: %s", bench->size, why);
        return false;
    }
    if (!take_prefix(plan) || !take_number("keys", bench->keys, &plan->keys) ||
        !take_number("count", bench->count, &plan->count) ||
        !take_number("rate", bench->rate, &plan->rate) ||
        !take_number("seed", bench->seed, &plan->seed))
        return false;
    if (bench->order && !plan->keys &&
        (bench->op == BENCHPLAN_PUT || bench->op == BENCHPLAN_CYCLE)) {
        say_error("bench: --order=random needs --keys N: out of how many");
        return false;
    }
    plan->op = (enum benchplan_op)bench->op;
    plan->random = bench->order == 1;
    plan->check = (enum benchplan_check)bench->check;
    fill_in(bench);
    return true;
}

/* --- the run --- */

/* A client has a connection to each server that it is redirected to. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* 0, or the errno for which there is no connection. Waits `timeout_ms` at most. The threads' own
 * connections are not used for it: those are in epoll sets, and theirs is a state machine. */
static int try_connect(const struct benchserver *server, unsigned timeout_ms)
{
    int fd = socket(server->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int err = 0;
    socklen_t len = sizeof err;
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    if (connect(fd, (const struct sockaddr *)&server->address, server->address_len) != 0) {
        if (errno != EINPROGRESS)
            err = errno;
        else if (poll(&wait, 1, (int)timeout_ms) != 1)
            err = ETIMEDOUT;
        else
            (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    }
    (void)close(fd);
    return err;
}

/* One connection beforehand: a server that is not there is one message, and no table of errors. */
static bool server_is_there(const struct benchplan *plan)
{
    struct benchservers servers;
    const char *why = NULL;
    memset(&servers, 0, sizeof servers);
    int number = benchservers_find(&servers, plan->authority, strlen(plan->authority), &why);
    if (number == 0) {
        uint64_t ms = plan->timeout_ns / 1000000;
        int err = try_connect(&servers.list[0], (unsigned)(ms > 60000 ? 60000 : ms));
        why = err ? strerror(err) : NULL;
    }
    if (why)
        say_error("bench: no connection to http://%s: %s. Is it running, and is the address right?",
                  plan->authority, why);
    return !why;
}

/* A thread and its loop. The loop is the thread's from start() to its end, which `over` tells;
 * after the join it is ours again, with its tally. */
struct crewmate {
    pthread_t thread;
    struct benchloop *loop;
    atomic_bool over;
};

/* `over` is stored last: whoever sees it may join without waiting for a request. */
static void *work(void *arg)
{
    struct crewmate *mate = arg;
    benchloop_run(mate->loop);
    atomic_store(&mate->over, true);
    return NULL;
}

/* At most once a second: the terminal is on the same processors. */
static void show_progress(const struct benchrun *run, uint64_t *shown)
{
    uint64_t elapsed_ms = (now_ns() - run->start_ns) / 1000000;
    if (!say_on_terminal() || elapsed_ms / 1000 == *shown)
        return;
    struct buf line = BUF_INIT;
    struct progress_figures figures = {"running",        "operations", atomic_load(&run->ended),
                                       run->plan->count, -1,           elapsed_ms};
    *shown = elapsed_ms / 1000;
    progress_text(&line, &figures);
    say_transient(buf_text(&line));
    buf_free(&line);
}

/* Until all threads are done, or a signal has told them to be. It looks at one thread after the
 * other, since all of them have to end anyway, and polls: a condition variable would need a second
 * way in for the signal, and ten milliseconds at the end of a run are not in its figures. */
static void watch_over(struct benchrun *run, struct crewmate *mates, unsigned count)
{
    uint64_t shown = 0;
    for (unsigned i = 0; i < count;) {
        if (interrupt_seen())
            atomic_store(&run->stop, true);
        if (atomic_load(&mates[i].over)) {
            i++;
            continue;
        }
        interrupt_sleep(10);
        if (interrupt_seen()) {
            /* interrupt_sleep() does not sleep any more. */
            const struct timespec moment = {0, 1000000};
            (void)nanosleep(&moment, NULL);
        }
        show_progress(run, &shown);
    }
    say_transient("");
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(mates[i].thread, NULL);
}

/* All loops are made before the first thread starts, so that none begins while another still fails.
 * Clients that are left over go to the first threads, one each. */
static bool prepare(struct benchrun *run, struct crewmate *mates)
{
    const struct benchplan *plan = run->plan;
    for (unsigned i = 0; i < plan->threads; i++) {
        const char *why;
        unsigned share = plan->clients / plan->threads + (i < plan->clients % plan->threads);
        mates[i].loop = benchloop_new(run, i, share, &why);
        if (!mates[i].loop) {
            say_error("bench: could not prepare %u clients: %s", plan->clients, why);
            return false;
        }
    }
    return true;
}

/* Runs all threads to their end. Where one cannot be started those that were are stopped again, so
 * that no figure comes from fewer threads than were asked for. */
static bool start(struct benchrun *run, struct crewmate *mates)
{
    const struct benchplan *plan = run->plan;
    unsigned started = 0;
    run->start_ns = now_ns();
    run->end_ns = plan->duration_ns ? run->start_ns + plan->duration_ns : UINT64_MAX;
    for (; started < plan->threads; started++)
        if (pthread_create(&mates[started].thread, NULL, work, &mates[started]) != 0)
            break;
    if (started < plan->threads) {
        say_error("bench: could not start %u threads", plan->threads);
        atomic_store(&run->stop, true);
    }
    watch_over(run, mates, started);
    return started == plan->threads;
}

/* Time counts up to the end of the last operation, not of the last thread's sleep: a short run
 * would look slower than it was. After an interruption it counts up to now, since what was under
 * way is lost. Returns the exit status. */
static int report(const struct bench *bench, const struct benchrun *run,
                  const struct benchtally *tally)
{
    struct buf out = BUF_INIT;
    bool interrupted = atomic_load(&run->stop);
    uint64_t last = interrupted ? now_ns() : tally->last_ns;
    uint64_t elapsed = last > run->start_ns ? last - run->start_ns : 0;
    (bench->json ? benchreport_json : benchreport_text)(run->plan, tally, elapsed, interrupted,
                                                        &out);
    say_bytes(buf_text(&out), out.len);
    bool good = buf_ok(&out) && !tally->errors && tally->operations;
    buf_free(&out);
    return say_flush() && good ? EXIT_WELL : EXIT_FAILED;
}

/* Runs what the plan says, and prints it; returns the exit status. The signals are watched from the
 * moment on when there is something to be printed; before it they end the program as usual. All
 * that the threads use is freed here, after the join in start(). */
static int run_bench(const struct bench *bench)
{
    const struct benchplan *plan = &bench->plan;
    struct benchrun run = {.plan = plan};
    struct benchtally *tally = calloc(1, sizeof *tally);
    struct crewmate *mates = calloc(plan->threads, sizeof *mates);
    struct benchvalues *values = benchvalues_new(plan->seed);
    int result = EXIT_FAILED;
    run.values = values;
    raise_descriptors();
    if (!tally || !mates || !values) {
        say_error("bench: out of memory");
    } else if (server_is_there(plan) && prepare(&run, mates)) {
        interrupt_watch();
        if (start(&run, mates)) {
            for (unsigned i = 0; i < plan->threads; i++)
                benchtally_merge(tally, benchloop_tally(mates[i].loop));
            result = report(bench, &run, tally);
        }
    }
    for (unsigned i = 0; mates && i < plan->threads; i++)
        benchloop_free(mates[i].loop);
    benchvalues_free(values);
    free(mates);
    free(tally);
    return result;
}

static const char summary[] =
    "Loads the server at URL (default: the master) with requests by many clients at once, each\n"
    "over connections of its own, and tells how many a second it answered and how long they took.\n"
    "  put         writes keys               get-follow  reads values through the redirect\n"
    "  get         asks where values are     head        the same without a body\n"
    "  missing     asks for keys that are not there      delete      deletes keys\n"
    "  list        pages of the list, from any key on    cycle       writes, reads, deletes a key\n"
    "Keys are PREFIX and a number of ten digits. Values are made from key and --seed: reading "
    "them\n"
    "with the --prefix, --size and --seed of their writing compares every byte. 'get' and the "
    "like\n"
    "work on plain web servers and volumes, too, where URL may have a path; 'put' on WebDAV.\n"
    "SIZE: 1K; 1K-1M (log-uniform); 1K:70,64K-1M:25,8M:5 (with weights).\n"
    "Without --rate each client begins when it is done (closed loop). With it operations are due "
    "at\n"
    "fixed times, and their latency counts from then on, also where no client was free (open "
    "loop).\n"
    "Latencies come from a log-linear histogram and are at most 0.8 % too high; max is exact.\n"
    "Exit status: 0; 1 there were errors, or there is no server; 2 wrong usage.";

/* Numbers with k and M are texts here: the option table's own sizes are powers of two. */
static enum options_result parse(struct bench *bench, int argc, char **argv, int *rest)
{
    struct benchplan *plan = &bench->plan;
    char ops[BENCHPLAN_CHOICES_MAX];
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &bench->master, 0, 0, NULL, "URL", "the master"},
        {"op", 'o', OPTION_CHOICE, &bench->op, 0, 0, benchplan_ops(ops), "OP",
         "what is done (get)"},
        {"clients", 'c', OPTION_UNSIGNED, &plan->clients, 1, CLIENTS_MAX, NULL, "N",
         "at a time (16)"},
        {"duration", 'd', OPTION_DURATION, &bench->duration_ms, 1, UINT32_MAX, NULL, "TIME",
         "for so long (10s, where there is no --count)"},
        {"count", 'n', OPTION_TEXT, &bench->count, 0, 0, NULL, "N", "so many operations"},
        {"size", 's', OPTION_TEXT, &bench->size, 0, 0, NULL, "SIZE", "of values (1K)"},
        {"keys", 'k', OPTION_TEXT, &bench->keys, 0, 0, NULL, "N",
         "numbers 0 to N-1 (1000; writing: no bound)"},
        {"order", 0, OPTION_CHOICE, &bench->order, 0, 0, "seq|random", "ORDER",
         "of keys: seq or random (seq)"},
        {"prefix", 'p', OPTION_TEXT, &plan->prefix, 0, 0, NULL, "PREFIX", "of keys (/bench/)"},
        {"rate", 'r', OPTION_TEXT, &bench->rate, 0, 0, NULL, "N", "open loop: so many a second"},
        {"threads", 't', OPTION_UNSIGNED, &plan->threads, 1, THREADS_MAX, NULL, "N", "(1)"},
        {"page", 0, OPTION_UNSIGNED, &plan->page, 1, 1000000, NULL, "N", "keys of a list (1000)"},
        {"check", 0, OPTION_CHOICE, &bench->check, 0, 0, "sample|all|none", "WHAT",
         "sample: all bytes, MD5s and lists of one answer in 64"},
        {"seed", 0, OPTION_TEXT, &bench->seed, 0, 0, NULL, "N", "of values and random keys (1)"},
        {"timeout", 0, OPTION_DURATION, &bench->timeout_ms, 1, UINT32_MAX, NULL, "TIME",
         "of an operation (30s)"},
        {"json", 'j', OPTION_FLAG, &bench->json, 0, 0, NULL, NULL, "one JSON document"},
    };
    const struct option_program program = {"larder bench", "[URL] [OPTION]...", summary, options,
                                           sizeof options / sizeof options[0]};
    return options_parse(&program, argc, argv, rest);
}

/* Defaults that are texts are allocated: the option parser frees what it replaces, and so every
 * text of the plan has one owner at the end. */
int bench_run(int argc, char **argv)
{
    struct bench bench = {.timeout_ms = 30000, .op = BENCHPLAN_GET};
    bench.plan = (struct benchplan){.clients = 16, .threads = 1, .page = 1000, .seed = 1};
    bench.size = strdup("1K");
    bench.plan.prefix = strdup("/bench/");
    int rest = 0;
    int result = EXIT_TROUBLE;
    if (!bench.size || !bench.plan.prefix)
        say_error("bench: out of memory");
    else {
        enum options_result parsed = parse(&bench, argc, argv, &rest);
        if (parsed == OPTIONS_EXIT)
            result = EXIT_WELL;
        else if (parsed == OPTIONS_OK && arguments_fit("larder bench", argc - rest, 0, 1) &&
                 make_plan(&bench, rest < argc ? argv[rest] : NULL))
            result = run_bench(&bench);
    }
    benchplan_clear(&bench.plan);
    free(bench.master);
    free(bench.size);
    free(bench.keys);
    free(bench.count);
    free(bench.rate);
    free(bench.seed);
    return result;
}
