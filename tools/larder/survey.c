/*
 * The order matters: the master says who the volumes are and where they are reached (make_roster),
 * the volumes themselves which one each is (roster_call); only then there is something to walk. All
 * that is made on the way belongs to the survey, and survey_end() takes it down, however far it
 * came.
 */
#include "tools/larder/survey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/http_fetch.h"
#include "common/options.h"
#include "tools/larder/roster.h"
#include "tools/larder/say.h"
#include "tools/larder/scan.h"
#include "tools/larder/volumelist.h"

/* The roster of those in the list. roster_new() copies the names, and checks them. */
static enum status make_roster(struct survey *survey, const struct volumelist *list,
                               const struct option_list *without)
{
    size_t count = volumelist_count(list);
    struct option_list names = {calloc(count + 1, sizeof *names.items), count};
    if (!names.items)
        return ST_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        names.items[i] = (char *)volumelist_item(list, i).name;
    enum status st = roster_new(&survey->roster, &names, without);
    free((void *)names.items);
    for (size_t i = 0; i < count && !st; i++) {
        struct volumelist_item volume = volumelist_item(list, i);
        if (volume.address)
            roster_moved(survey->roster, volume.name, volume.address);
    }
    return st;
}

/* What is left out is compared with the list before any volume is asked: a name that is misspelt
 * would only be told after a volume that is down. */
enum status survey_begin(struct survey *survey, struct client *client,
                         const struct option_list *without)
{
    struct volumelist *list;
    enum status st = volumelist_fetch(&list, client);
    if (!st)
        st = make_roster(survey, list, without);
    volumelist_free(list);
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
static bool is_the_same(const struct survey *survey, const struct volumelist_item *volume)
{
    size_t count;
    const char *const *names = roster_volumes(survey->roster, &count);
    if (strcmp(volume->state, "foreign") == 0)
        return false;
    for (size_t i = 0; i < count && *volume->id; i++)
        if (strcmp(names[i], volume->name) == 0)
            return strcmp(roster_identity(survey->roster, i), volume->id) == 0;
    return true;
}

/* The list is asked for anew: the master's own view of who answers where may have changed while the
 * volumes were called. Each that is wrong is told, not only the first. */
enum status survey_check(const struct survey *survey, struct client *client)
{
    struct volumelist *list;
    enum status st = volumelist_fetch(&list, client);
    if (st)
        return st;
    for (size_t i = 0; i < volumelist_count(list); i++) {
        struct volumelist_item volume = volumelist_item(list, i);
        if (roster_left_out(survey->roster, volume.name) || is_the_same(survey, &volume))
            continue;
        say_error("who answers for %s is not the volume that the master knows by that name; see to "
                  "its address (larder add-volume), or leave it out with --without %s",
                  volume.name, volume.name);
        st = ST_CONFLICT;
    }
    volumelist_free(list);
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

/* Below a directory that is ours alone, so LevelDB meets no files but its own. */
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
}
