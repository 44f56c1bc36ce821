#include "tools/larder/survey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/http_fetch.h"
#include "common/json.h"
#include "tools/larder/client.h"
#include "tools/larder/roster.h"
#include "tools/larder/say.h"
#include "tools/larder/scan.h"

/* Those that are reached elsewhere than their names say. */
static void take_addresses(struct survey *survey, const struct json *list)
{
    for (size_t i = 0; i < json_count(list); i++) {
        const char *name = json_text(json_member(json_item(list, i), "name"));
        const char *address = json_text(json_member(json_item(list, i), "address"));
        if (name && address)
            roster_moved(survey->roster, name, address);
    }
}

/* The names as the master has them; roster_new() checks them again. */
static enum status take_names(struct survey *survey, const struct json *list)
{
    size_t count = json_count(list);
    survey->volumes.items = calloc(count + 1, sizeof *survey->volumes.items);
    if (!survey->volumes.items)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const char *name = json_text(json_member(json_item(list, i), "name"));
        survey->volumes.items[i] = name ? strdup(name) : NULL;
        if (!survey->volumes.items[i])
            return name ? ST_NO_MEMORY : ST_PEER;
        survey->volumes.count++;
    }
    return ST_OK;
}

enum status survey_begin(struct survey *survey, struct client *client,
                         const struct option_list *without)
{
    enum status st = client_request(client, "GET", "/admin/volumes");
    if (st || client_status(client) != 200) {
        client_explain(client, st, "list the volumes", NULL);
        return st ? st : ST_PEER;
    }
    struct json *json = client_json(client);
    st = take_names(survey, json_member(json, "volumes"));
    if (!st)
        st = roster_new(&survey->roster, &survey->volumes, without);
    if (!st)
        take_addresses(survey, json_member(json, "volumes"));
    json_free(json);
    if (!st && !roster_check_left_out(survey->roster, NULL))
        st = ST_BAD_REQUEST;
    struct http_fetcher *fetcher = http_fetcher_new();
    if (!st)
        st = fetcher ? roster_call(survey->roster, fetcher) : ST_NO_MEMORY;
    http_fetcher_free(fetcher);
    return st;
}

/* Two volumes may have changed places, or one been made anew: then what is there tells nothing of
 * the one that the master means. */
static bool is_the_same(const struct survey *survey, const struct json *volume)
{
    const char *name = json_text(json_member(volume, "name"));
    const char *state = json_text(json_member(volume, "state"));
    const char *id = json_text(json_member(volume, "id"));
    size_t count;
    const char *const *names = roster_volumes(survey->roster, &count);
    if (state && strcmp(state, "foreign") == 0)
        return false;
    for (size_t i = 0; i < count && name && id && *id; i++)
        if (strcmp(names[i], name) == 0)
            return strcmp(roster_identity(survey->roster, i), id) == 0;
    return true;
}

enum status survey_check(const struct survey *survey, struct client *client)
{
    enum status st = client_request(client, "GET", "/admin/volumes");
    if (st || client_status(client) != 200) {
        client_explain(client, st, "list the volumes", NULL);
        return st ? st : ST_PEER;
    }
    struct json *json = client_json(client);
    const struct json *list = json_member(json, "volumes");
    if (!json)
        st = ST_PEER;
    for (size_t i = 0; i < json_count(list); i++) {
        const char *name = json_text(json_member(json_item(list, i), "name"));
        if (!name || roster_left_out(survey->roster, name) ||
            is_the_same(survey, json_item(list, i)))
            continue;
        say_error("who answers for %s is not the volume that the master knows by that name; see to "
                  "its address (larder add-volume), or leave it out with --without %s",
                  name, name);
        st = ST_CONFLICT;
    }
    json_free(json);
    return st;
}

/* A directory that nobody else can have prepared: /tmp belongs to everyone. */
static enum status make_temp(struct survey *survey, const char *scratch)
{
    const char *dir = scratch ? scratch : getenv("TMPDIR");
    if (!dir || !*dir)
        dir = "/tmp";
    if (asprintf(&survey->temp, "%s/larder-verify-XXXXXX", dir) < 0) {
        survey->temp = NULL;
        return ST_NO_MEMORY;
    }
    if (mkdtemp(survey->temp))
        return ST_OK;
    say_error("could not make a scratch directory in %s: %s; give another with --scratch", dir,
              strerror(errno));
    free(survey->temp);
    survey->temp = NULL;
    return ST_IO;
}

enum status survey_scratch(struct survey *survey, const char *scratch)
{
    char *path = NULL;
    enum status st = make_temp(survey, scratch);
    if (!st && asprintf(&path, "%s/scan", survey->temp) < 0) {
        path = NULL;
        st = ST_NO_MEMORY;
    }
    if (!st)
        st = scan_open(&survey->scan, path);
    free(path);
    return st;
}

enum status survey_walk(struct survey *survey, unsigned threads)
{
    return walk_run(survey->roster, threads, survey->scan, &survey->found);
}

/* The scan goes before its directory. */
void survey_end(struct survey *survey)
{
    scan_discard(survey->scan);
    if (survey->temp && rmdir(survey->temp) != 0)
        say_error("could not remove %s: %s", survey->temp, strerror(errno));
    free(survey->temp);
    walk_result_free(&survey->found);
    roster_free(survey->roster);
    for (size_t i = 0; i < survey->volumes.count; i++)
        free(survey->volumes.items[i]);
    free((void *)survey->volumes.items);
}
