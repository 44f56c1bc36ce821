/*
 * larder ls: the keys that begin with a prefix, in bytewise order.
 *
 * Out of /admin/keys rather than the plain list, since that has states, MD5s and places in one
 * answer, in pages of a bounded size, so memory does not grow with the list. Output is in one form
 * for scripts: a key a line, encoded, so neither line ends nor spaces in keys can break it.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/key.h"
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/info.h"
#include "tools/larder/keylist.h"
#include "tools/larder/say.h"

struct ls {
    char *master;
    bool unlinked;
    bool longer;
    bool json;
    bool raw;       /* keys as bytes, in the output and in PREFIX */
    bool null;      /* raw, each with a NUL behind it */
    uint64_t count; /* printed so far; the commas of JSON hang on it */
};

/* Encoded keys need no escapes of JSON. */
static void add_json(const struct info *info, struct buf *out)
{
    const struct record *record = &info->record;
    buf_adds(out, "{\"key\":\"");
    key_encode(out, info->key.bytes, info->key.len);
    buf_addf(out, "\",\"state\":\"%s\",\"generation\":%" PRIu64 ",\"md5\":\"%s\",\"volumes\":[",
             key_state_text(record->state), record->generation, record->md5);
    for (size_t i = 0; i < record->place_count; i++) {
        buf_adds(out, i ? "," : "");
        json_add_string(out, record->places[i], strlen(record->places[i]));
    }
    buf_addf(out, "],\"few\":%s}", record->few_copies ? "true" : "false");
}

/* Columns of fixed width first, the key last: it may have any length. */
static void add_line(const struct ls *ls, const struct info *info, struct buf *out)
{
    const struct record *record = &info->record;
    if (ls->longer)
        buf_addf(out, "%-8s %13" PRIu64 " %-32s %2zu%s ", key_state_text(record->state),
                 record->generation, record->md5[0] ? record->md5 : "-", record->place_count,
                 record->few_copies ? "!" : " ");
    if (ls->raw || ls->null)
        buf_add(out, info->key.bytes, info->key.len);
    else
        key_encode(out, info->key.bytes, info->key.len);
    buf_addc(out, ls->null ? '\0' : '\n');
}

/* Counts, too; the first key has no comma before it. */
static enum status print_key(struct ls *ls, const struct info *info)
{
    struct buf line = BUF_INIT;
    if (ls->json) {
        buf_adds(&line, ls->count ? ",\n" : "\n");
        add_json(info, &line);
    } else {
        add_line(ls, info, &line);
    }
    ls->count++;
    enum status st = buf_ok(&line) ? ST_OK : ST_NO_MEMORY;
    say_bytes(buf_text(&line), line.len);
    buf_free(&line);
    return st;
}

/* Every failure has been said by keylist_next(), but for lack of memory. */
static enum status print_keys(struct ls *ls, struct keylist *list, const struct buf *prefix)
{
    struct info info;
    enum key_state wanted = ls->unlinked ? KEY_UNLINKED : KEY_LIVE;
    info_init(&info);
    enum status st = ST_OK;
    while (!st && !(st = keylist_next(list, &info))) {
        if (info.key.len < prefix->len || memcmp(info.key.bytes, prefix->data, prefix->len) != 0)
            break; /* the list begins at the prefix, so this is behind all that have it */
        if (info.record.state == wanted)
            st = print_key(ls, &info);
    }
    info_free(&info);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* The JSON document is closed also after a failure: the exit status tells, and the reader gets what
 * there is. */
static int list_keys(struct ls *ls, const char *prefix_text)
{
    struct buf prefix = BUF_INIT;
    struct client *client = NULL;
    struct keylist *list = NULL;
    int result = EXIT_TROUBLE;
    if (arguments_prefix(prefix_text, ls->raw || ls->null, &prefix) &&
        (client = client_new(ls->master)))
        list = keylist_new(client, prefix.data, prefix.len);
    if (list) {
        if (ls->json)
            say("{\"keys\": [");
        enum status st = print_keys(ls, list, &prefix);
        if (ls->json)
            say("\n]}\n");
        result = say_flush() && !st ? EXIT_WELL : EXIT_FAILED;
    }
    keylist_free(list);
    client_free(client);
    buf_free(&prefix);
    return result;
}

static const char summary[] =
    "Lists the keys that begin with PREFIX (without one: all), in bytewise order, a line each.\n"
    "Keys are printed percent-encoded, just as the other commands and URLs take them, so they\n"
    "have no spaces, quotes or line ends. --raw prints their bytes; give them back with --raw.\n"
    "With --long a line is: STATE GENERATION MD5 COPIES KEY; MD5 is '-' where it is not known,\n"
    "and COPIES is followed by '!' where they are too few.\n"
    "With --json: {\"keys\": [{\"key\":encoded, \"state\":\"live\"|\"unlinked\", "
    "\"generation\":N,\n"
    "\"md5\":hex or \"\", \"volumes\":[...], \"few\":true|false}, ...]}\n"
    "Exit status: 0, also where there is no such key; 1 the list is not complete; 2 wrong usage.";

int ls_run(int argc, char **argv)
{
    struct ls ls = {0};
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &ls.master, 0, 0, NULL, "URL", "the master"},
        {"unlinked", 'u', OPTION_FLAG, &ls.unlinked, 0, 0, NULL, NULL, "unlinked keys instead"},
        {"long", 'l', OPTION_FLAG, &ls.longer, 0, 0, NULL, NULL, "more about each key"},
        {"json", 'j', OPTION_FLAG, &ls.json, 0, 0, NULL, NULL, "one JSON document"},
        {"raw", 0, OPTION_FLAG, &ls.raw, 0, 0, NULL, NULL, "keys as they are, also PREFIX"},
        {"null", '0', OPTION_FLAG, &ls.null, 0, 0, NULL, NULL,
         "as --raw, with a NUL at the end of a key (for xargs -0)"},
    };
    const struct option_program program = {"larder ls", "[PREFIX] [OPTION]...", summary, options,
                                           sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && arguments_fit("larder ls", argc - rest, 0, 1))
        result = list_keys(&ls, rest < argc ? argv[rest] : "");
    options_free(&program);
    return result;
}
