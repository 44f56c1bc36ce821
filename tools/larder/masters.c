/*
 * The path: masters_compare → find_members → (read_digests until all are at one sequence) →
 * judge → name_differences.
 *
 * A digest is of a snapshot, together with its sequence; changes have one order for all masters. So
 * the same sequence with another digest is a difference, however much is going on meanwhile.
 */
#include "tools/larder/masters.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/loop.h"
#include "common/md5.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/say.h"

enum {
    MEMBERS_MAX = 16,
    PATIENCE_MS = 60000,
    PAUSE_US = 100000,
    NAMED_MAX = 20,
    PAGE = 1000,
    FIND_TRIES = 50
};

struct member {
    char address[300];
    struct client *client;
    uint64_t sequence, keys;
    char digest[MD5_HEX + 1];
};

/* Each has a client of its own, since each is asked on its own address. */
struct members {
    struct member list[MEMBERS_MAX];
    size_t count;
    unsigned named; /* keys that differ */
};

/* --- who they are --- */

/* Those that are there already are not added again. */
static bool add_member(struct members *members, const char *address)
{
    for (size_t i = 0; i < members->count; i++)
        if (strcmp(members->list[i].address, address) == 0)
            return true;
    if (members->count == MEMBERS_MAX) {
        say_error("more than %d masters", MEMBERS_MAX);
        return false;
    }
    struct member *member = &members->list[members->count];
    (void)snprintf(member->address, sizeof member->address, "%s", address);
    member->client = client_new(member->address);
    members->count += member->client != NULL;
    return member->client != NULL;
}

/* Those that were named, and those that they name: one that has just begun may not be known to the
 * others yet. */
static bool add_named(struct members *members, const char *masters)
{
    static const char scheme[] = "http://";
    bool good = true;
    while (masters && *masters && good) {
        char address[sizeof members->list[0].address];
        size_t len = strcspn(masters, ",");
        size_t skip = strncmp(masters, scheme, sizeof scheme - 1) ? 0 : sizeof scheme - 1;
        (void)snprintf(address, sizeof address, "%.*s", (int)(len - skip), masters + skip);
        address[strcspn(address, "/")] = 0;
        good = !address[0] || add_member(members, address);
        masters += len + (masters[len] == ',');
    }
    return good;
}

static bool find_members(struct members *members, const char *masters)
{
    struct client *client = client_new(masters);
    enum status st = client ? client_request(client, "GET", "/admin/status") : ST_NO_MEMORY;
    if (!client || st || client_status(client) != 200) {
        if (client)
            client_explain(client, st, "ask for the masters", NULL);
        client_free(client);
        return false;
    }
    struct json *json = client_json(client);
    const struct json *cluster = json_member(json, "cluster");
    const struct json *list = json_member(cluster, "members");
    bool good = cluster != NULL;
    if (!good)
        say_error("this master is the only one: there is nothing to compare it with");
    for (size_t i = 0; i < json_count(list) && good; i++) {
        const char *address = json_text(json_member(json_item(list, i), "address"));
        good = address && add_member(members, address);
    }
    good = good && add_named(members, masters ? masters : getenv("LARDER_MASTER"));
    json_free(json);
    client_free(client);
    return good && members->count;
}

/* --- digests --- */

/* A master that is away makes the comparison impossible, not unequal: so this is an error. */
static bool read_digest(struct member *member)
{
    enum status st = client_request(member->client, "GET", "/admin/digest");
    if (st || client_status(member->client) != 200) {
        client_explain(member->client, st, "read the digest of a master", NULL);
        return false;
    }
    struct json *json = client_json(member->client);
    const char *digest = json_text(json_member(json, "digest"));
    member->sequence = (uint64_t)json_int(json_member(json, "sequence"), -1);
    member->keys = (uint64_t)json_int(json_member(json, "keys"), 0);
    (void)snprintf(member->digest, sizeof member->digest, "%s", digest ? digest : "");
    json_free(json);
    return member->digest[0] != 0;
}

/* Only then do digests mean anything beside each other. */
static bool same_sequence(const struct members *members)
{
    for (size_t i = 1; i < members->count; i++)
        if (members->list[i].sequence != members->list[0].sequence)
            return false;
    return true;
}

/* Until all are at one sequence. Those that are at the highest need not be asked again. */
static bool read_digests(struct members *members)
{
    uint64_t until = loop_now_ms() + PATIENCE_MS;
    do {
        uint64_t highest = 0;
        for (size_t i = 0; i < members->count; i++)
            highest = members->list[i].sequence > highest ? members->list[i].sequence : highest;
        for (size_t i = 0; i < members->count; i++) {
            struct member *member = &members->list[i];
            if ((!member->digest[0] || member->sequence < highest) && !read_digest(member))
                return false;
        }
        if (same_sequence(members))
            return true;
        (void)usleep(PAUSE_US);
    } while (loop_now_ms() < until && !interrupt_seen());
    say_error("the masters did not come to the same sequence; compare them while less is written");
    return false;
}

/* --- which keys --- */

/* Compares one record, as its master has it, with that of another. */
static void compare_record(struct members *members, const struct json *record,
                           const struct member *from, struct member *to)
{
    const char *key = json_text(json_member(record, "key"));
    char *mine = NULL;
    size_t len;
    struct buf path = BUF_INIT;
    buf_addf(&path, "%s?record&stale", key ? key : "");
    if (key && buf_ok(&path) && !client_request(from->client, "GET", buf_text(&path)))
        mine = strdup(client_body(from->client, &len));
    int status = mine ? client_status(from->client) : 0;
    if (mine && !client_request(to->client, "GET", buf_text(&path)) &&
        (client_status(to->client) != status || strcmp(client_body(to->client, &len), mine) != 0)) {
        say("differs %s %s %s\n", key, from->address, to->address);
        members->named++;
    }
    free(mine);
    buf_free(&path);
}

/* Goes through the keys of one master, and looks at each on the other. */
static void compare_keys(struct members *members, struct member *from, struct member *to)
{
    struct buf next = BUF_INIT;
    do {
        struct buf path = BUF_INIT;
        buf_addf(&path, "/admin/keys?stale&limit=%d&start=%s", PAGE, buf_text(&next));
        enum status st = client_request(from->client, "GET", buf_text(&path));
        buf_free(&path);
        buf_clear(&next);
        struct json *json = st ? NULL : client_json(from->client);
        const char *more = json_text(json_member(json, "next"));
        const struct json *records = json_member(json, "records");
        buf_adds(&next, more ? more : "");
        for (size_t i = 0; i < json_count(records) && members->named < NAMED_MAX; i++)
            compare_record(members, json_item(records, i), from, to);
        json_free(json);
    } while (next.len && members->named < NAMED_MAX && !interrupt_seen());
    buf_free(&next);
}

/* --- the answer --- */

/* The first is what the others are compared with; which of two that differ is right nobody can
 * tell here. */
static int judge(struct members *members)
{
    struct member *first = &members->list[0];
    int result = EXIT_WELL;
    for (size_t i = 0; i < members->count; i++) {
        struct member *member = &members->list[i];
        bool same = strcmp(member->digest, first->digest) == 0;
        say("%s sequence=%" PRIu64 " keys=%" PRIu64 " digest=%s%s\n", member->address,
            member->sequence, member->keys, member->digest, same ? "" : " DIFFERS");
        if (same)
            continue;
        result = EXIT_FAILED;
        compare_keys(members, first, member);
        compare_keys(members, member, first);
    }
    say(result == EXIT_WELL ? "all %zu masters have the same index\n"
                            : "the indexes of %zu masters are NOT the same\n",
        members->count);
    return result;
}

int masters_compare(const char *masters)
{
    struct members *members = calloc(1, sizeof *members);
    int result = EXIT_TROUBLE;
    if (members && find_members(members, masters) && read_digests(members))
        result = judge(members);
    for (size_t i = 0; members && i < members->count; i++)
        client_free(members->list[i].client);
    free(members);
    return say_flush() ? result : EXIT_TROUBLE;
}
