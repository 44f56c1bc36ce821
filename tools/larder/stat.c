/*
 * larder stat: what the index knows of a key, and what its volumes say. A request to the master,
 * then a HEAD for each copy: nothing is read whole, so a copy is DAMAGED here by what its volume
 * remembers of it. One thread; copies are asked for one after the other.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/http_client.h"
#include "common/http_fetch.h"
#include "common/key.h"
#include "tools/larder/addresses.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/info.h"
#include "tools/larder/say.h"
#include "tools/larder/volume.h"

/* What is known of one of the copies. */
struct looked {
    char reached[ADDRESSES_PLACE]; /* where it was asked for */
    struct volume_copy copy;
    bool answered;
    char why[VOLUME_WHY];
};

/* A copy that was not asked for with success is unreachable; that is no verdict on it. */
static void look(struct http_fetcher *fetcher, const struct addresses *addresses,
                 const struct info *info, const char *place, struct looked *looked)
{
    const struct record *record = &info->record;
    memset(looked, 0, sizeof *looked);
    addresses_reach(addresses, place, looked->reached);
    looked->answered = volume_head(fetcher, looked->reached, &info->key, record->generation,
                                   record->naming, &looked->copy, looked->why) == ST_OK;
}

/* "there", or what is wrong. */
static const char *verdict(const struct looked *looked, const char *md5)
{
    if (!looked->answered)
        return "unreachable";
    if (!looked->copy.there)
        return "MISSING";
    if (md5[0] && looked->copy.md5[0] && strcmp(md5, looked->copy.md5) != 0)
        return "DAMAGED";
    return "there";
}

/* True where the copy is as it should be. */
static bool print_copy(const struct looked *looked, const char *place, const char *md5)
{
    say("  %-40s %s", place, verdict(looked, md5));
    if (looked->copy.there)
        say(", %" PRIu64 " bytes", looked->copy.size);
    if (strcmp(looked->reached, place) != 0)
        say(", at %s", looked->reached);
    if (!looked->answered)
        say(" (%s)", looked->why);
    say("\n");
    return strcmp(verdict(looked, md5), "there") == 0;
}

/* Places in the order of the record, which is that of placement. */
static bool print_copies(struct http_fetcher *fetcher, const struct addresses *addresses,
                         const struct info *info)
{
    bool good = true;
    say("copies:     %zu%s\n", info->record.place_count,
        info->record.few_copies ? " (fewer than wanted)" : "");
    for (size_t i = 0; i < info->record.place_count; i++) {
        struct looked looked;
        look(fetcher, addresses, info, info->record.places[i], &looked);
        good = print_copy(&looked, info->record.places[i], info->record.md5) && good;
    }
    return good;
}

/* Nothing at all where the list is empty, not even its title. */
static void print_list(const char *title, char *const *list, size_t count)
{
    if (count)
        say("%s\n", title);
    for (size_t i = 0; i < count; i++)
        say("  %s\n", list[i]);
}

/* Keys in other states have neither generation nor MD5 that mean anything. */
static void print_record(const struct info *info)
{
    const struct record *record = &info->record;
    struct buf key = BUF_INIT;
    key_encode(&key, info->key.bytes, info->key.len);
    say("key:        %s\nstate:      %s\n", buf_text(&key), key_state_text(record->state));
    buf_free(&key);
    if (record->state == KEY_LIVE || record->state == KEY_UNLINKED) {
        say("generation: %" PRIu64 "\nmd5:        %s\n", record->generation,
            record->md5[0] ? record->md5 : "not known");
        if (record->naming == NAMING_MKV && !name_same(&info->key))
            say("naming:     minikeyvalue's\n");
    }
}

/* What the janitor still has to do for the key. */
static void print_rest(const struct info *info)
{
    const struct record *record = &info->record;
    if (info_is_misplaced(info))
        print_list("wanted at:", info->wanted, info->wanted_count);
    if (record->has_tombstone)
        say("tombstone:  %" PRIu64 "\n", record->tombstone);
    print_list("kept on:", record->holders, record->holder_count);
    if (record->garbage.count)
        say("to remove:\n");
    for (size_t i = 0; i < record->garbage.count; i++)
        say("  %s generation %" PRIu64 "\n", record->garbage.list[i].place,
            record->garbage.list[i].generation);
}

/* A key without a record is told in client_explain()'s words, with the master's 404 as the reason.
 */
static int stat_key(const char *master, const struct key *key)
{
    struct info info;
    info_init(&info);
    struct client *client = client_new(master);
    struct http_fetcher *fetcher = http_fetcher_new();
    struct addresses *addresses = addresses_new();
    int result = EXIT_TROUBLE;
    if (client && fetcher && addresses) {
        enum status st = info_fetch(client, key, &info);
        result = EXIT_FAILED;
        if (st == ST_NOT_FOUND) {
            client_explain(client, ST_OK, "find", key);
        } else if (!st && !addresses_fetch(addresses, client)) {
            print_record(&info);
            if (print_copies(fetcher, addresses, &info))
                result = EXIT_WELL;
            print_rest(&info);
        }
    }
    if (!say_flush())
        result = EXIT_FAILED;
    addresses_free(addresses);
    http_fetcher_free(fetcher);
    client_free(client);
    info_free(&info);
    return result;
}

/* --raw and --master are arguments_run()'s to parse. */
static int run(void *arg UNUSED, const char *master, bool raw, char *const *texts, int count UNUSED)
{
    struct key key;
    return arguments_key(texts[0], raw, &key) ? stat_key(master, &key) : EXIT_TROUBLE;
}

static const char summary[] =
    "Shows what the index knows of KEY, a 'NAME: VALUE' a line, then a line for each copy: "
    "its\n"
    "place and what the volume says of it: 'there' and its size, 'MISSING', 'DAMAGED' "
    "(another\n"
    "MD5 than the index has), or 'unreachable', and where the volume is reached if that is not\n"
    "its name. Then, where there is any: where the copies "
    "are\n"
    "wanted, the tombstone, and copies that are to be removed.\n"
    "Exit status: 0 all copies are there, 1 some are not, or there is no such key, 2 wrong\n"
    "usage.";

int stat_run(int argc, char **argv)
{
    const struct arguments_command command = {"larder stat", "KEY", summary, 1, 1, run, NULL};
    return arguments_run(&command, argc, argv);
}
