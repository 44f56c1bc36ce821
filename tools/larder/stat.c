/* larder stat: what the index knows of a key, and what its volumes say. */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/http_fetch.h"
#include "common/key.h"
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/info.h"
#include "tools/larder/say.h"
#include "tools/larder/volume.h"

/* What is known of one of the copies. */
struct looked {
    struct volume_copy copy;
    bool reached;
    char why[VOLUME_WHY];
};

static void look(struct http_fetcher *fetcher, const struct info *info, const char *place,
                 struct looked *looked)
{
    const struct record *record = &info->record;
    memset(looked, 0, sizeof *looked);
    looked->reached = volume_head(fetcher, place, &info->key, record->generation, record->naming,
                                  &looked->copy, looked->why) == ST_OK;
}

/* "there", or what is wrong. */
static const char *verdict(const struct looked *looked, const char *md5)
{
    if (!looked->reached)
        return "unreachable";
    if (!looked->copy.there)
        return "MISSING";
    if (md5[0] && looked->copy.md5[0] && strcmp(md5, looked->copy.md5) != 0)
        return "DAMAGED";
    return "there";
}

static bool print_copy(const struct looked *looked, const char *place, const char *md5)
{
    say("  %-40s %s", place, verdict(looked, md5));
    if (looked->copy.there)
        say(", %" PRIu64 " bytes", looked->copy.size);
    if (!looked->reached)
        say(" (%s)", looked->why);
    say("\n");
    return strcmp(verdict(looked, md5), "there") == 0;
}

static bool print_copies(struct http_fetcher *fetcher, const struct info *info)
{
    bool good = true;
    say("copies:     %zu%s\n", info->record.place_count,
        info->record.few_copies ? " (fewer than wanted)" : "");
    for (size_t i = 0; i < info->record.place_count; i++) {
        struct looked looked;
        look(fetcher, info, info->record.places[i], &looked);
        good = print_copy(&looked, info->record.places[i], info->record.md5) && good;
    }
    return good;
}

static void print_list(const char *title, char *const *list, size_t count)
{
    if (count)
        say("%s\n", title);
    for (size_t i = 0; i < count; i++)
        say("  %s\n", list[i]);
}

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

static int stat_key(const char *master, const struct key *key)
{
    struct info info;
    info_init(&info);
    struct client *client = client_new(master);
    struct http_fetcher *fetcher = http_fetcher_new();
    int result = EXIT_TROUBLE;
    if (client && fetcher) {
        enum status st = info_fetch(client, key, &info);
        result = EXIT_FAILED;
        if (st == ST_NOT_FOUND) {
            client_explain(client, ST_OK, "find", key);
        } else if (!st) {
            print_record(&info);
            if (print_copies(fetcher, &info))
                result = EXIT_WELL;
            print_rest(&info);
        }
    }
    if (!say_flush())
        result = EXIT_FAILED;
    http_fetcher_free(fetcher);
    client_free(client);
    info_free(&info);
    return result;
}

int stat_run(int argc, char **argv)
{
    char *master = NULL;
    bool raw = false;
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &master, 0, 0, NULL, "URL", "the master"},
        {"raw", 0, OPTION_FLAG, &raw, 0, 0, NULL, NULL, "KEY is not percent-encoded"},
    };
    const struct option_program program = {
        "larder stat", "KEY",
        "Shows what the index knows of KEY, a 'NAME: VALUE' a line, then a line for each copy: "
        "its\n"
        "place and what the volume says of it: 'there' and its size, 'MISSING', 'DAMAGED' "
        "(another\n"
        "MD5 than the index has), or 'unreachable'. Then, where there is any: where the copies "
        "are\n"
        "wanted, the tombstone, and copies that are to be removed.\n"
        "Exit status: 0 all copies are there, 1 some are not, or there is no such key, 2 wrong\n"
        "usage.",
        options, sizeof options / sizeof options[0]};
    int rest = 0;
    struct key key;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && arguments_fit("larder stat", argc - rest, 1, 1) &&
        arguments_key(argv[rest], raw, &key))
        result = stat_key(master, &key);
    options_free(&program);
    return result;
}
