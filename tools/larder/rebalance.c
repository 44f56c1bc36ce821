/*
 * larder rebalance: through the running master, every value goes to where placement wants it.
 *
 *   count_keys     the list of keys is read once, to know how many stand wrong (all that --dry-run
 *                  does, which prints them)
 *   move_keys      the list is read again; keys that stand wrong go to a crew of threads
 *   key_moved      a thread has asked the master to move one, and has its answer
 *   move_delayed   those on which clients were at work meanwhile are tried again
 *
 * The master does the moving: it copies, compares the MD5, commits, then deletes. So this can be
 * interrupted anywhere: what was moved stands right, and is passed over the next time.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/grow.h"
#include "common/http_client.h"
#include "common/key.h"
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/crew.h"
#include "tools/larder/info.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/keylist.h"
#include "tools/larder/progress.h"
#include "tools/larder/say.h"
#include "tools/larder/throttle.h"
#include "tools/larder/watch.h"

enum {
    ROUNDS = 5, /* for keys on which clients are at work */
    ROUND_PAUSE_MS = 1000,
    FAILURES_SAID = 20,
    DELAYED_MAX = 100000,        /* of them are remembered; the others count as not moved */
    ANSWER_MS = 6 * 3600 * 1000, /* a large value takes long to copy */
    SETTLE_MS = 30 * 1000        /* for old copies to be removed */
};

struct rebalance {
    char *master;
    unsigned long long rate;
    unsigned jobs;
    bool dry_run, all;
    bool waits; /* until the old copies are gone */

    struct throttle *throttle; /* has a lock of its own, as has progress */
    struct progress *progress;

    pthread_mutex_t lock; /* over all below */
    struct key **delayed;
    size_t delayed_count, delayed_room;
    bool last_round;  /* what cannot be done now has failed */
    bool unreachable; /* no master answers: nothing more can be done */
    uint64_t looked_at, misplaced;
    uint64_t moved, bytes, right, left, gone, failed; /* keys, but for the bytes moved */
};

/* What a thread of the crew has. */
struct mover {
    struct rebalance *rebalance;
    struct client *client;
};

static enum status count_keys(struct rebalance *rebalance, struct client *client);
static enum status move_keys(struct rebalance *rebalance, struct client *client);
static void key_moved(struct mover *mover, struct key *key, enum status st);
static void move_delayed(struct rebalance *rebalance);

/* With --all the master looks whether the copies of keys that stand right are really there. */
static bool is_to_be_moved(const struct rebalance *rebalance, const struct info *info)
{
    enum key_state state = info->record.state;
    return info_is_misplaced(info) ||
           (rebalance->all && (state == KEY_LIVE || state == KEY_UNLINKED));
}

/* --- counting --- */

static void add_places(struct buf *out, char *const *places, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_addf(out, "%s%s", i ? "," : "", places[i]);
}

static void print_move(const struct info *info)
{
    struct buf line = BUF_INIT;
    key_encode(&line, info->key.bytes, info->key.len);
    buf_addc(&line, ' ');
    add_places(&line, info->record.places, info->record.place_count);
    buf_addc(&line, ' ');
    add_places(&line, info->wanted, info->wanted_count);
    buf_addc(&line, '\n');
    say_bytes(buf_text(&line), line.len);
    buf_free(&line);
}

/* Read-only; so --dry-run is just this. */
static enum status count_keys(struct rebalance *rebalance, struct client *client)
{
    struct progress *progress = progress_new("looking", "keys", 0);
    struct keylist *list = keylist_new(client, "/", 1);
    struct info info;
    info_init(&info);
    enum status st = list && progress ? ST_OK : ST_NO_MEMORY;
    while (!st && !(st = keylist_next(list, &info))) {
        rebalance->looked_at++;
        progress_add(progress, 1);
        if (is_to_be_moved(rebalance, &info)) {
            rebalance->misplaced++;
            if (rebalance->dry_run)
                print_move(&info);
        }
        if (interrupt_seen())
            st = ST_CLOSED;
    }
    info_free(&info);
    keylist_free(list);
    progress_free(progress);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* --- moving --- */

/* Each thread its own client: a client has one request at a time. */
static void *mover_begin(void *arg)
{
    struct rebalance *rebalance = arg;
    struct mover *mover = calloc(1, sizeof *mover);
    if (!mover)
        return NULL;
    mover->rebalance = rebalance;
    mover->client = client_new(rebalance->master);
    if (!mover->client) {
        free(mover);
        return NULL;
    }
    return mover;
}

static void mover_end(void *state)
{
    struct mover *mover = state;
    client_free(mover->client);
    free(mover);
}

/* Keeps the key for a later round; it is the list's then. False where that is not possible. The
 * list is bounded: a store where clients are at work on a hundred thousand keys at once is better
 * rebalanced later. */
static bool delay_locked(struct rebalance *rebalance, struct key *key)
{
    if (rebalance->last_round || rebalance->delayed_count == DELAYED_MAX)
        return false;
    struct key **delayed = grow_list((void *)rebalance->delayed, rebalance->delayed_count,
                                     &rebalance->delayed_room, sizeof(struct key *));
    if (!delayed)
        return false;
    rebalance->delayed = delayed;
    rebalance->delayed[rebalance->delayed_count++] = key;
    return true;
}

/* What became of a key that was handed to the master; each is counted once. */
enum outcome {
    OUTCOME_MOVED,
    OUTCOME_RIGHT,   /* nothing had to be moved */
    OUTCOME_LEFT,    /* it should be moved, but where it belongs is down or full now */
    OUTCOME_GONE,    /* deleted meanwhile */
    OUTCOME_DELAYED, /* to be tried again */
    OUTCOME_FAILED
};

/* What the master moved nothing of stands right, or cannot be moved now: its record tells. */
static enum outcome why_not_moved(struct mover *mover, const struct key *key)
{
    struct info info;
    info_init(&info);
    enum status st = info_fetch(mover->client, key, &info);
    enum outcome outcome = OUTCOME_RIGHT;
    if (st)
        outcome = st == ST_NOT_FOUND ? OUTCOME_GONE : OUTCOME_FAILED;
    else if (info_is_elsewhere(&info))
        outcome = OUTCOME_LEFT;
    info_free(&info);
    return outcome;
}

/* The first failures are told one by one, all of them are counted. */
static void say_failure(struct mover *mover, const struct key *key, enum status st)
{
    struct rebalance *rebalance = mover->rebalance;
    (void)pthread_mutex_lock(&rebalance->lock);
    bool silent = rebalance->failed >= FAILURES_SAID || rebalance->unreachable;
    rebalance->unreachable = rebalance->unreachable || st == ST_UNAVAILABLE;
    (void)pthread_mutex_unlock(&rebalance->lock);
    if (!silent)
        client_explain(mover->client, st, "move", key);
}

/* What the master's answer means; *bytes is what it moved. A connection that broke off says nothing
 * about the move, so the key is tried again: where it was moved, the second answer says that
 * nothing had to be. */
static enum outcome read_answer(struct mover *mover, const struct key *key, enum status st,
                                uint64_t *bytes)
{
    int http = st ? 0 : client_status(mover->client);
    *bytes = 0;
    if (http == 404)
        return OUTCOME_GONE;
    if (http == 409 || st == ST_PEER)
        return OUTCOME_DELAYED;
    if (http != 204) {
        say_failure(mover, key, st);
        return OUTCOME_FAILED;
    }
    const char *moved = client_field(mover->client, "Larder-Moved");
    *bytes = moved ? strtoull(moved, NULL, 10) : 0;
    return *bytes ? OUTCOME_MOVED : why_not_moved(mover, key);
}

/* Takes over a key that is to be tried again; true where it did. */
static bool count_outcome(struct rebalance *rebalance, struct key *key, enum outcome outcome,
                          uint64_t bytes)
{
    (void)pthread_mutex_lock(&rebalance->lock);
    bool delayed = outcome == OUTCOME_DELAYED && delay_locked(rebalance, key);
    rebalance->bytes += bytes;
    rebalance->moved += outcome == OUTCOME_MOVED;
    rebalance->right += outcome == OUTCOME_RIGHT;
    rebalance->left += outcome == OUTCOME_LEFT;
    rebalance->gone += outcome == OUTCOME_GONE;
    rebalance->failed += outcome == OUTCOME_FAILED || (outcome == OUTCOME_DELAYED && !delayed);
    (void)pthread_mutex_unlock(&rebalance->lock);
    return delayed;
}

/* Owns the key: it is freed here, or waits among the delayed ones. */
static void key_moved(struct mover *mover, struct key *key, enum status st)
{
    struct rebalance *rebalance = mover->rebalance;
    uint64_t bytes;
    enum outcome outcome = read_answer(mover, key, st, &bytes);
    if (!count_outcome(rebalance, key, outcome, bytes)) {
        if (outcome == OUTCOME_DELAYED)
            say_failure(mover, key, st);
        progress_add(rebalance->progress, 1);
        free(key);
    }
    if (bytes)
        throttle_moved(rebalance->throttle, bytes);
}

/* Asked before each key. What is under way then goes to its end. */
static bool must_stop(struct rebalance *rebalance)
{
    (void)pthread_mutex_lock(&rebalance->lock);
    bool stop = rebalance->unreachable;
    (void)pthread_mutex_unlock(&rebalance->lock);
    return stop || interrupt_seen();
}

/* Owns the item. */
static void mover_work(void *state, void *item)
{
    struct mover *mover = state;
    struct key *key = item;
    if (must_stop(mover->rebalance)) {
        free(key);
        return;
    }
    const struct http_call_spec spec = {.method = "REBALANCE", .timeout_ms = ANSWER_MS};
    struct buf path = BUF_INIT;
    key_encode(&path, key->bytes, key->len);
    enum status st =
        buf_ok(&path) ? client_send(mover->client, &spec, buf_text(&path)) : ST_NO_MEMORY;
    buf_free(&path);
    key_moved(mover, key, st);
}

/* Of as many requests at a time as --jobs says. */
static struct crew *make_crew(struct rebalance *rebalance)
{
    const struct crew_work work = {mover_begin, mover_work, mover_end, rebalance};
    return crew_new(rebalance->jobs, &work);
}

/* The list goes on while keys move; one that has moved already is met again as right, and passed
 * over. */
static enum status move_keys(struct rebalance *rebalance, struct client *client)
{
    struct crew *crew = make_crew(rebalance);
    struct keylist *list = keylist_new(client, "/", 1);
    struct info info;
    info_init(&info);
    enum status st = crew && list ? ST_OK : ST_NO_MEMORY;
    while (!st && !must_stop(rebalance) && !(st = keylist_next(list, &info))) {
        if (!is_to_be_moved(rebalance, &info))
            continue;
        struct key *key = malloc(sizeof *key);
        if (key) {
            *key = info.key;
            crew_give(crew, key);
        } else {
            st = ST_NO_MEMORY;
        }
    }
    crew_finish(crew);
    info_free(&info);
    keylist_free(list);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* All keys wait the same pause together, so a round costs a second, not a second a key. */
static void move_delayed(struct rebalance *rebalance)
{
    for (int round = 1; round <= ROUNDS && rebalance->delayed_count; round++) {
        struct key **keys = rebalance->delayed;
        size_t count = rebalance->delayed_count;
        rebalance->delayed = NULL;
        rebalance->delayed_count = rebalance->delayed_room = 0;
        rebalance->last_round = round == ROUNDS;
        interrupt_sleep(ROUND_PAUSE_MS);
        struct crew *crew = make_crew(rebalance);
        for (size_t i = 0; i < count; i++) {
            if (crew) {
                crew_give(crew, keys[i]);
            } else {
                free(keys[i]);
                rebalance->failed++;
            }
        }
        crew_finish(crew);
        free((void *)keys);
    }
}

/* --- all of it --- */

/* The numbers add up to those that were to be moved, unless it was interrupted, or no master
 * answered any more: keys that were not begun are in none. */
static void print_summary(const struct rebalance *rebalance)
{
    struct buf text = BUF_INIT;
    progress_number(&text, rebalance->looked_at);
    buf_adds(&text, " keys, ");
    progress_number(&text, rebalance->misplaced);
    buf_adds(&text, rebalance->all ? " of them to be looked at" : " of them to be moved");
    if (!rebalance->dry_run) {
        buf_adds(&text, ": ");
        progress_number(&text, rebalance->moved);
        buf_adds(&text, " moved (");
        progress_number(&text, rebalance->bytes);
        buf_adds(&text, " bytes), ");
        progress_number(&text, rebalance->right);
        buf_adds(&text, " in order without, ");
        progress_number(&text, rebalance->left);
        buf_adds(&text, " left (where they belong is down or full), ");
        progress_number(&text, rebalance->gone);
        buf_adds(&text, " deleted meanwhile, ");
        progress_number(&text, rebalance->failed);
        buf_adds(&text, " failed");
    }
    /* The dry run's standard output is a list. */
    if (rebalance->dry_run)
        say_note(buf_text(&text));
    else
        say("%s\n", buf_text(&text));
    buf_free(&text);
}

/* What was moved is still where it was, too, for readers that were sent there; so that a look at
 * the volumes finds nothing left over when this has ended. Work for volumes that are away may stay.
 */
static void wait_for_removals(const struct rebalance *rebalance, struct client *client)
{
    if (!rebalance->moved || !rebalance->waits || rebalance->unreachable || interrupt_seen())
        return;
    (void)!watch_settle(client, SETTLE_MS);
}

/* An interruption is a failure for a script: not everything stands right. */
static int rebalance_result(const struct rebalance *rebalance, enum status st)
{
    if (st == ST_NO_MEMORY)
        say_error("%s", status_text(st));
    if (interrupt_seen())
        say_error("interrupted; what was moved stands right. Run it again to go on");
    if (rebalance->unreachable)
        return EXIT_TROUBLE;
    return st || rebalance->failed || rebalance->left || interrupt_seen() ? EXIT_FAILED : EXIT_WELL;
}

/* Threads run within move_keys() and move_delayed() only; all else is done by this one, without the
 * lock. */
static int rebalance_all(struct rebalance *rebalance)
{
    interrupt_watch();
    struct client *client = client_new(rebalance->master);
    if (!client)
        return EXIT_TROUBLE;
    (void)pthread_mutex_init(&rebalance->lock, NULL);
    rebalance->throttle = throttle_new(rebalance->rate);
    enum status st = rebalance->throttle ? count_keys(rebalance, client) : ST_NO_MEMORY;
    bool counted = !st;
    if (!st && !rebalance->dry_run && rebalance->misplaced) {
        rebalance->progress = progress_new("moving", "keys", rebalance->misplaced);
        st = rebalance->progress ? move_keys(rebalance, client) : ST_NO_MEMORY;
        if (!st)
            move_delayed(rebalance);
        progress_free(rebalance->progress);
    }
    if (counted)
        print_summary(rebalance);
    wait_for_removals(rebalance, client);
    int result = counted ? rebalance_result(rebalance, st) : EXIT_TROUBLE;
    if (!say_flush())
        result = EXIT_FAILED;
    for (size_t i = 0; i < rebalance->delayed_count; i++)
        free(rebalance->delayed[i]);
    free((void *)rebalance->delayed);
    throttle_free(rebalance->throttle);
    (void)pthread_mutex_destroy(&rebalance->lock);
    client_free(client);
    return result;
}

static const char summary[] =
    "Moves values to the volumes on which placement wants them, after volumes were added, and "
    "makes\n"
    "copies where there are too few. Goes through the running master while clients go on. Can be\n"
    "interrupted, and is resumed by running it again: what stands right is passed over.\n"
    "\n"
    "Output: one line, how many keys there are, were moved, left, deleted meanwhile, or failed. "
    "With\n"
    "--dry-run a line for each key that would be moved: KEY (percent-encoded), the volumes it is\n"
    "on, and those it should be on, both with commas between.\n"
    "Exit status: 0 all stands right, 1 some could not be moved, 2 wrong usage, or the master\n"
    "cannot be reached.";

int rebalance_run(int argc, char **argv)
{
    struct rebalance rebalance = {.jobs = 16, .waits = true};
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &rebalance.master, 0, 0, NULL, "URL", "the master"},
        {"rate", 0, OPTION_SIZE, &rebalance.rate, 0, 0, NULL, "BYTES",
         "move at most so many bytes a second"},
        {"jobs", 0, OPTION_UNSIGNED, &rebalance.jobs, 1, 256, NULL, "N",
         "values that are moved at the same time (default 16)"},
        {"dry-run", 'n', OPTION_FLAG, &rebalance.dry_run, 0, 0, NULL, NULL,
         "only list what would be moved"},
        {"all", 'a', OPTION_FLAG, &rebalance.all, 0, 0, NULL, NULL,
         "look at every key, also at those that stand right: copies that are not there any more, "
         "as after a volume was replaced, are made anew"},
        {"wait", 'w', OPTION_FLAG, &rebalance.waits, 0, 0, NULL, NULL,
         "wait (30 s at most) until old copies are gone (default; --no-wait: do not)"},
    };
    const struct option_program program = {"larder rebalance", "[OPTION]...", summary, options,
                                           sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && arguments_fit("larder rebalance", argc - rest, 0, 0))
        result = rebalance_all(&rebalance);
    options_free(&program);
    return result;
}
