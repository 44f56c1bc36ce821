/*
 * larder rebuild: a new index from what is on the volumes.
 *
 *   rebuild_run        the command line
 *   rebuild_begin      the index directory is taken hold of, the old index asked for volumes that
 *                      may have been forgotten, the volumes are called
 *   rebuild_scan       every file and tombstone of theirs goes into a scratch database
 *   rebuild_write      key by key, in order: what was found becomes a record of the new index
 *   rebuild_finish     the new index is made durable, and takes the place of the old one
 *   rebuild_report     what was found, for people
 *
 * Until rebuild_finish the old index is as it was; whatever fails or interrupts before leaves it
 * so, and removes what was made beside it.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/http_fetch.h"
#include "common/key.h"
#include "common/options.h"
#include "common/placement.h"
#include "common/record.h"
#include "tools/larder/arguments.h"
#include "tools/larder/choose.h"
#include "tools/larder/commands.h"
#include "tools/larder/interrupt.h"
#include "tools/larder/newindex.h"
#include "tools/larder/oldindex.h"
#include "tools/larder/progress.h"
#include "tools/larder/roster.h"
#include "tools/larder/say.h"
#include "tools/larder/scan.h"
#include "tools/larder/walk.h"

enum { NOTES_KEPT = 20 }; /* keys named in the report; all are counted */

struct rebuild {
    char *db;                   /* the options, as given */
    struct option_list volumes; /* names or addresses; roster.h */
    struct option_list without; /* what is left out on purpose */
    unsigned subvolumes;
    unsigned replicas;
    unsigned threads;

    struct oldindex_volumes known; /* that the old index has */
    struct roster *roster;
    struct newindex *index; /* holds the lock of the old one, too */
    struct scan *scan;      /* removed at the end in any case */
    struct walk_result found;
    char *old; /* where the old index went; NULL: there was none */

    /* Of the keys. */
    uint64_t live, unlinked, deleted, few, garbage, damaged, conflicts, fell_back, unsound;
    uint64_t laid_aside;
    char *notes[NOTES_KEPT]; /* about keys that an operator should look at */
    size_t note_count;       /* NOTES_KEPT at most */
};

static enum status rebuild_begin(struct rebuild *rebuild);
static enum status rebuild_scan(struct rebuild *rebuild);
static enum status rebuild_write(struct rebuild *rebuild);
static enum status rebuild_finish(struct rebuild *rebuild);
static void rebuild_report(const struct rebuild *rebuild);

/* Volumes that were added while the master ran are easily forgotten on the command line, and with
 * them all that stands on them alone. */
static bool check_volumes(const struct rebuild *rebuild)
{
    bool good = true;
    for (size_t i = 0; i < rebuild->known.names.count; i++) {
        const char *name = rebuild->known.names.items[i];
        if (roster_accounts_for(rebuild->roster, name))
            continue;
        say_error(
            "the old index has the volume %s too, which --volumes does not name. Name it, or, "
            "where it is gone for good, say '--without %s'",
            name, name);
        good = false;
    }
    return good;
}

/* An index that is too damaged to be asked is no reason to refuse: it is why people rebuild. */
static enum status ask_old_index(struct rebuild *rebuild)
{
    enum status st = ST_OK;
    if (newindex_replaces(rebuild->index))
        st = oldindex_read(newindex_dir(rebuild->index), &rebuild->known);
    if (st == ST_NO_MEMORY)
        return st;
    for (size_t i = 0; i < rebuild->known.names.count; i++)
        roster_moved(rebuild->roster, rebuild->known.names.items[i],
                     rebuild->known.addresses.items[i]);
    if (st)
        say_error("the old index cannot be read (%s), so make sure yourself that --volumes has all "
                  "volumes, those too that were added later. Going on",
                  status_text(st));
    return roster_check_left_out(rebuild->roster, &rebuild->known.names) ? ST_OK : ST_BAD_REQUEST;
}

/* The lock on the index first: nothing that is asked of the volumes would be of use without it. */
static enum status rebuild_begin(struct rebuild *rebuild)
{
    enum status st = newindex_begin(&rebuild->index, rebuild->db);
    if (!st)
        st = ask_old_index(rebuild);
    struct http_fetcher *fetcher = http_fetcher_new();
    if (!st)
        st = fetcher ? roster_call(rebuild->roster, fetcher) : ST_NO_MEMORY;
    http_fetcher_free(fetcher);
    if (!st && !check_volumes(rebuild)) /* now that they have told their names */
        st = ST_BAD_REQUEST;
    return st;
}

/* Beside the index, so it needs no room elsewhere, and what a run that was killed left is found by
 * its name. */
static enum status rebuild_scan(struct rebuild *rebuild)
{
    struct buf path = BUF_INIT;
    size_t len = strlen(rebuild->db);
    while (len > 1 && rebuild->db[len - 1] == '/')
        len--;
    buf_add(&path, rebuild->db, len);
    buf_adds(&path, ".rebuild-scan");
    enum status st = buf_ok(&path) ? scan_open(&rebuild->scan, buf_text(&path)) : ST_NO_MEMORY;
    if (!st)
        st = walk_run(rebuild->roster, rebuild->threads, rebuild->scan, &rebuild->found);
    buf_free(&path);
    return st;
}

/* --- key by key --- */

/* Keeps the first few; their numbers are counted elsewhere. */
static void note(struct rebuild *rebuild, const struct key *key, const char *what)
{
    struct buf text = BUF_INIT;
    if (rebuild->note_count == NOTES_KEPT)
        return;
    key_encode(&text, key->bytes, key->len);
    buf_addf(&text, ": %s", what);
    char *line = buf_take(&text);
    if (line)
        rebuild->notes[rebuild->note_count++] = line;
}

static void count_choice(struct rebuild *rebuild, const struct key *key,
                         const struct choice *choice)
{
    const struct record *record = &choice->record;
    rebuild->live += record->state == KEY_LIVE;
    rebuild->unlinked += record->state == KEY_UNLINKED;
    rebuild->deleted += record->state == KEY_DELETED;
    rebuild->few += record->few_copies;
    rebuild->garbage += record->garbage.count;
    rebuild->damaged += choice->damaged;
    rebuild->conflicts += choice->conflict;
    rebuild->fell_back += choice->fell_back;
    rebuild->unsound += choice->none_is_sound;
    rebuild->laid_aside += choice->laid_aside;
    if (choice->laid_aside)
        note(rebuild, key,
             "its newest version, or all of it, is damaged, and in quarantine; or it was deleted");
    else if (choice->none_is_sound)
        note(rebuild, key, "every copy is damaged; they are left as they are");
    else if (choice->fell_back)
        note(rebuild, key, "every copy of the newest version is damaged; an older one was taken");
    else if (choice->conflict)
        note(rebuild, key, "its copies differ; what most of them have was taken");
}

static bool is_left_out(const void *arg, const char *place)
{
    return roster_left_out(arg, place);
}

/* Without anything left out, `unseen` stays NULL, and costs nothing. */
static struct chooser *make_chooser(const struct rebuild *rebuild)
{
    struct choose_options options = {.subvolumes = rebuild->subvolumes,
                                     .replicas = rebuild->replicas,
                                     .places = roster_places(rebuild->roster),
                                     .unseen_arg = rebuild->roster};
    options.volumes = roster_volumes(rebuild->roster, &options.volume_count);
    if (roster_incomplete(rebuild->roster))
        options.unseen = is_left_out;
    return chooser_new(&options);
}

/* The record lives as long as this call. */
static enum status write_key(struct rebuild *rebuild, struct chooser *chooser,
                             struct scan_group *group)
{
    struct choice choice;
    enum status st = chooser_run(chooser, group, NULL, &choice);
    if (!st)
        st = newindex_add(rebuild->index, &group->key, &choice.record);
    if (!st)
        count_choice(rebuild, &group->key, &choice);
    record_free(&choice.record);
    return st;
}

/* Progress is told in portions, as its lock is taken for each. */
static enum status write_keys(struct rebuild *rebuild, struct chooser *chooser,
                              struct scan_reader *reader)
{
    enum { TELL_EVERY = 256 };
    struct progress *progress =
        progress_new("writing the index", "files", rebuild->found.files + 1);
    struct scan_group group = {0};
    size_t files = 0;
    enum status st = progress ? ST_OK : ST_NO_MEMORY;
    while (!st && !(st = scan_next(reader, &group))) {
        files += group.file_count;
        st = interrupt_seen() ? ST_CLOSED : write_key(rebuild, chooser, &group);
        if (files >= TELL_EVERY) {
            progress_add(progress, files);
            files = 0;
        }
    }
    scan_group_free(&group);
    progress_free(progress);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* Those that were left out too, where they are in the list: placement must count them, or values
 * would be wanted elsewhere. */
static enum status write_volumes(struct rebuild *rebuild)
{
    size_t count;
    const char *const *names = roster_volumes(rebuild->roster, &count);
    enum status st = ST_OK;
    for (size_t i = 0; i < count && !st; i++) {
        char address[ADDRESSES_PLACE];
        roster_reach(rebuild->roster, names[i], address);
        st = newindex_add_volume(rebuild->index, names[i], address,
                                 roster_identity(rebuild->roster, i));
    }
    return st;
}

/* One thread and one pass: LevelDB writes keys that come in order fastest, and the volumes are
 * asked nothing more. */
static enum status rebuild_write(struct rebuild *rebuild)
{
    struct chooser *chooser = make_chooser(rebuild);
    struct scan_reader *reader = scan_reader_new(rebuild->scan);
    enum status st = chooser && reader ? write_volumes(rebuild) : ST_NO_MEMORY;
    if (!st)
        st = write_keys(rebuild, chooser, reader);
    if (st == ST_CORRUPT || st == ST_IO)
        say_error("could not read the scratch database back: %s; see to the disk, and begin again",
                  status_text(st));
    scan_reader_free(reader);
    chooser_free(chooser);
    return st;
}

/* From here on nothing is interrupted: it takes seconds, and half of it would be the worst of all.
 */
static enum status rebuild_finish(struct rebuild *rebuild)
{
    return newindex_finish(rebuild->index, &rebuild->old);
}

/* --- for people --- */

/* Where `meaning` is "" a zero is told, too. */
static void report_number(const char *what, uint64_t number, const char *meaning)
{
    struct buf text = BUF_INIT;
    progress_number(&text, number);
    if (number || !*meaning)
        say("  %-16s %12s  %s\n", what, buf_text(&text), meaning);
    buf_free(&text);
}

/* As URLs, so they can be looked at. */
static void report_strays(const struct walk_result *found)
{
    if (!found->strays)
        return;
    say("Files that tell no key; they were left alone%s:\n",
        found->strays > WALK_STRAYS_KEPT ? " (the first of them)" : "");
    for (size_t i = 0; i < WALK_STRAYS_KEPT && found->stray[i]; i++)
        say("  %s\n", found->stray[i]);
}

/* To standard output, since it is the result; zeros are left out but for the first lines. */
static void rebuild_report(const struct rebuild *rebuild)
{
    say("The new index is in %s.\n", rebuild->db);
    if (rebuild->old)
        say("The old one is in %s; remove it when you are content.\n", rebuild->old);
    report_number("live keys", rebuild->live, "");
    report_number("unlinked keys", rebuild->unlinked, "");
    report_number("deleted keys", rebuild->deleted, "tombstones whose copies may not all be gone");
    report_number("files", rebuild->found.files, "");
    report_number("quarantined", rebuild->laid_aside,
                  "keys whose last copies are damaged, and in quarantine: not as they were");
    report_number("few copies", rebuild->few, "keys that the master will copy again");
    report_number("garbage", rebuild->garbage,
                  "files that the master will remove: old, deleted or damaged");
    report_number("damaged", rebuild->damaged, "of these, copies that are not what they should be");
    report_number("conflicts", rebuild->conflicts, "keys whose copies differ; see below");
    report_number("fallen back", rebuild->fell_back, "keys of which an older version was taken");
    report_number("lost", rebuild->unsound, "keys without one sound copy");
    report_number("strays", rebuild->found.strays, "files that tell no key");
    if (rebuild->note_count)
        say("Keys to look at%s:\n",
            rebuild->note_count == NOTES_KEPT ? " (the first of them)" : "");
    for (size_t i = 0; i < rebuild->note_count; i++)
        say("  %s\n", rebuild->notes[i]);
    report_strays(&rebuild->found);
    if (roster_incomplete(rebuild->roster))
        say("What is on the volumes that were left out is not in the index. Wipe them before they "
            "come back, or rebuild once more with them.\n");
}

/* Also what removes the scratch database and an index that was not finished. */
static void rebuild_free(struct rebuild *rebuild)
{
    scan_discard(rebuild->scan);
    newindex_free(rebuild->index);
    roster_free(rebuild->roster);
    walk_result_free(&rebuild->found);
    for (size_t i = 0; i < rebuild->note_count; i++)
        free(rebuild->notes[i]);
    oldindex_volumes_free(&rebuild->known);
    free(rebuild->old);
}

/* --- the command line --- */

/* Every step has said why it failed, but for lack of memory and what cannot happen. */
static int rebuild_all(struct rebuild *rebuild)
{
    interrupt_watch();
    enum status st = rebuild_begin(rebuild);
    if (!st)
        st = rebuild_scan(rebuild);
    if (!st)
        st = rebuild_write(rebuild);
    if (!st)
        st = rebuild_finish(rebuild);
    if (!st) {
        rebuild_report(rebuild);
        return say_flush() ? EXIT_WELL : EXIT_FAILED;
    }
    if (st == ST_NO_MEMORY || st == ST_INTERNAL)
        say_error("%s", status_text(st));
    if (interrupt_seen())
        say_error("interrupted; no index was made, and the old one is as it was");
    return st == ST_BAD_REQUEST ? EXIT_TROUBLE : EXIT_FAILED;
}

/* What the option table cannot say: that two of them are required. */
static bool check_usage(const struct rebuild *rebuild, int extra)
{
    if (!arguments_fit("larder rebuild", extra, 0, 0))
        return false;
    if (!rebuild->db)
        say_error("rebuild: --db DIR is missing: where the index is to be");
    else if (!rebuild->volumes.count)
        say_error("rebuild: --volumes HOST:PORT,... is missing: where the values are");
    return rebuild->db && rebuild->volumes.count;
}

static const char summary[] =
    "Makes a new index from the files on the volumes: keys, MD5s, unlinked states, versions and\n"
    "tombstones. Stop the master first. The old index is left alone until the new one is whole;\n"
    "then it is kept as DIR.old-TIME. May be interrupted at any time, and begun again.\n"
    "\n"
    "Needs space beside DIR for the new index and for a scratch database (DIR.rebuild-scan).\n"
    "Volumes that cannot be reached, or that the old index has and --volumes does not, stop it,\n"
    "unless they are left out with --without; what is on those is not in the new index. Plain "
    "WebDAV\n"
    "servers (nginx) keep no MD5s, unlinked states or tombstones: those are not found again.\n"
    "\n"
    "Output: what was found, a line each; then keys whose copies differ or are damaged, and files\n"
    "that tell no key (the first 20 of either). Progress goes to standard error.\n"
    "Exit status: 0 the new index is in place, 1 it is not, 2 wrong usage.";

int rebuild_run(int argc, char **argv)
{
    struct rebuild rebuild = {.subvolumes = 10, .replicas = 3, .threads = 16};
    const struct option_spec options[] = {
        {"db", 'd', OPTION_TEXT, &rebuild.db, 0, 0, NULL, "DIR", "the index directory (required)"},
        {"volumes", 'v', OPTION_LIST, &rebuild.volumes, 0, 0, NULL, "HOST:PORT[/PATH],...",
         "all volumes, by address or name (required)"},
        {"without", 0, OPTION_LIST, &rebuild.without, 0, 0, NULL, "VOLUME,...",
         "volumes or disks (VOLUME/svXX) that are lost or away"},
        {"subvolumes", 's', OPTION_UNSIGNED, &rebuild.subvolumes, 1, PLACEMENT_SUBVOLUMES_MAX, NULL,
         "N", "disks a volume, as the master has it (default 10)"},
        {"replicas", 'r', OPTION_UNSIGNED, &rebuild.replicas, 1, RECORD_COPIES_MAX, NULL, "N",
         "copies that each value should have (default 3)"},
        {"threads", 't', OPTION_UNSIGNED, &rebuild.threads, 1, WALK_THREADS_MAX, NULL, "N",
         "directories that are listed at the same time (default 16)"},
    };
    const struct option_program program = {"larder rebuild",
                                           "--db DIR --volumes HOST:PORT,... [OPTION]...", summary,
                                           options, sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && check_usage(&rebuild, argc - rest) &&
        roster_new(&rebuild.roster, &rebuild.volumes, &rebuild.without) == ST_OK)
        result = rebuild_all(&rebuild);
    rebuild_free(&rebuild);
    options_free(&program);
    return result;
}
