/*
 * The path, for each volume: period_over → ask → volume_answered → volumes_checked() (the table) →
 * note_identity or tell_name, where there is reason to.
 *
 * Runs on the first loop. A check is reused for the next question, and there is one under way at a
 * time, so a volume that hangs has one connection waiting and not one more every period. What is
 * decided about a volume is decided in the table (volumes_table.c); here is only who is asked when.
 *
 * Answers may be late: a volume may have moved while it was asked. So a check remembers the address
 * that it asked, and the table ignores what comes from another.
 */
#include "master/health.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/key.h"
#include "common/log.h"
#include "common/loop.h"
#include "master/probe.h"
#include "master/roll.h"
#include "master/volumes.h"
#include "master/worker.h"

/* A silence must be noticed within about a second, --voltimeout included; a few small requests a
 * second cost a volume nothing. */
enum {
    PERIOD_MS = 250,
    UP_PERIODS = 2,           /* volumes that are up are asked every second time */
    TELL_MS = 10 * 1000,      /* to take its name: it writes that to a disk */
    TELL_AGAIN_MS = 30 * 1000 /* between two tries */
};

/* One question under way. */
struct check {
    struct health *health;
    size_t volume;
    char address[VOLUME_NAME_MAX + 1]; /* that was asked */
    struct http_call *call;            /* NULL: none */
    struct roll_change note;           /* of its identity, where it was seen first */
    char id[IDENTITY_SIZE + 1];
    bool noting;               /* `note` is the roll's now */
    struct http_call *telling; /* the volume its name; NULL: not now */
    uint64_t told_ms;          /* of loop_now_ms(); 0: never */
    bool unnoted;              /* its identity is not in the index yet */
};

struct health {
    struct worker *worker;
    struct loop_timer *timer;
    struct check **checks; /* one a volume */
    size_t count;
    unsigned periods;
};

/* --- identities --- */

/* A conflict is no failure: the next check sees who is there then. */
static void identity_noted(void *arg, enum status st)
{
    struct check *check = arg;
    check->noting = false;
    if (st && st != ST_CONFLICT)
        log_event(LOG_WARN, "health", "volume=%s event=identity-not-noted error=\"%s\"",
                  check->note.name, status_text(st));
}

/* The table has it already. Where it has another by now, an operator was faster. */
static enum status decide_identity(void *arg, bool known UNUSED, struct volume_facts *facts)
{
    const struct check *check = arg;
    return strcmp(facts->id, check->id) == 0 && !facts->removed ? ST_OK : ST_CONFLICT;
}

/* So that another volume at this address is noticed after a restart, too. */
static void note_identity(struct check *check, const char *name, const char *id)
{
    if (check->noting)
        return;
    check->noting = true;
    memcpy(check->id, id, sizeof check->id);
    memcpy(check->note.name, name, strlen(name) + 1);
    check->note.decide = decide_identity;
    check->note.done = identity_noted;
    check->note.arg = check;
    check->note.loop = check->health->worker->loop;
    roll_submit(check->health->worker->master->roll, &check->note);
}

/* --- names --- */

/* What was not taken is told again after TELL_AGAIN_MS: the next check sees that the name is
 * another. */
static void name_told(void *arg, struct http_call *call, enum status st)
{
    struct check *check = arg;
    check->telling = NULL;
    int status = st ? 0 : http_call_status(call);
    if (status != 200 && status != 404) /* 404: a version that knows of no names */
        log_event(LOG_WARN, "health", "volume=%s event=name-not-taken status=%d error=\"%s\"",
                  volumes_name(check->health->worker->master->volumes, check->volume), status,
                  status_text(st ? st : ST_PEER));
}

/* The volume keeps its name beside its values, so that an index made anew from volumes knows it
 * even if it is reached at another address then. Tried again now and then, as its disk may be full,
 * or two masters may be at odds. */
static void tell_name(struct check *check, const char *name)
{
    uint64_t now = loop_now_ms();
    if (check->telling || (check->told_ms && now - check->told_ms < TELL_AGAIN_MS))
        return;
    static const char *const fields[] = {"Larder-Internal: 1", NULL};
    struct worker *worker = check->health->worker;
    struct buf url = BUF_INIT;
    buf_addf(&url, "http://%s/admin/name?name=", check->address);
    key_encode(&url, name, strlen(name));
    const struct http_call_spec spec = {.method = "POST",
                                        .url = buf_text(&url),
                                        .fields = fields,
                                        .done = name_told,
                                        .arg = check,
                                        .timeout_ms = TELL_MS};
    check->told_ms = now;
    check->telling = buf_ok(&url) ? http_call_start(worker->client, &spec) : NULL;
    buf_free(&url);
}

/* --- asking --- */

/* The identity is copied first: volumes_checked() takes the report over. */
static void volume_answered(void *arg, struct http_call *call, enum status st)
{
    struct check *check = arg;
    struct volumes *volumes = check->health->worker->master->volumes;
    const char *name = volumes_name(volumes, check->volume);
    struct volume_report report = {.address = check->address};
    check->call = NULL;
    probe_read(&report, call, st);
    char id[IDENTITY_SIZE + 1];
    memcpy(id, report.id, sizeof id);
    if (volumes_checked(volumes, check->volume, &report))
        check->unnoted = true;
    /* Of several masters the one that writes notes it, if need be when it becomes that. */
    if (check->unnoted && id[0] && master_may_write(check->health->worker->master)) {
        check->unnoted = false;
        note_identity(check, name, id);
    }
    free(report.subvolumes);
    /* Unknown is one that has moved since it was asked: who answered is another. */
    enum volume_state state = volumes_state(volumes, name);
    if (report.kind == VOLUME_LARDER && strcmp(report.name, name) != 0 && state != VOLUME_UNKNOWN &&
        state < VOLUME_DOWN)
        tell_name(check, name);
}

/* By the address of this moment; without memory the volume is just asked a period later. */
static void ask(struct check *check)
{
    struct worker *worker = check->health->worker;
    struct volume_facts facts;
    const char *name = volumes_name(worker->master->volumes, check->volume);
    (void)volumes_facts(worker->master->volumes, name, &facts);
    memcpy(check->address, facts.address, sizeof check->address);
    check->call =
        probe_start(worker, check->address, facts.id[0] ? facts.id : NULL, volume_answered, check);
    if (check->call)
        volumes_asked(worker->master->volumes, check->volume);
}

/* There may be more volumes than at the last time. */
static void grow(struct health *health, size_t count)
{
    struct check **more = realloc(health->checks, (count + 1) * sizeof(struct check *));
    if (!more)
        return;
    health->checks = more;
    while (health->count < count) {
        struct check *check = calloc(1, sizeof *check);
        if (!check)
            return;
        check->health = health;
        check->volume = health->count;
        health->checks[health->count++] = check;
    }
}

/* Removed volumes keep their position in the table, and are passed over. */
static void period_over(void *arg)
{
    struct health *health = arg;
    grow(health, volumes_count(health->worker->master->volumes));
    bool all = health->periods++ % UP_PERIODS == 0;
    struct volumes *volumes = health->worker->master->volumes;
    for (size_t i = 0; i < health->count; i++) {
        bool up = volumes_state(volumes, volumes_name(volumes, i)) == VOLUME_UP;
        bool removed = volumes_is_removed(volumes, volumes_name(volumes, i));
        if (!health->checks[i]->call && !removed && (all || !up))
            ask(health->checks[i]);
    }
    loop_timer_set(health->timer, PERIOD_MS);
}

struct health *health_new(struct worker *worker)
{
    struct health *health = calloc(1, sizeof *health);
    if (!health)
        return NULL;
    health->worker = worker;
    health->timer = loop_timer_new(worker->loop, period_over, health);
    if (!health->timer) {
        free(health);
        return NULL;
    }
    loop_timer_set(health->timer, 0);
    return health;
}

/* After all loops have ended: only then a note may be freed that is still under way (roll.h). */
void health_free(struct health *health)
{
    if (!health)
        return;
    loop_timer_free(health->timer);
    for (size_t i = 0; i < health->count; i++) {
        if (health->checks[i]->call)
            http_call_cancel(health->checks[i]->call);
        if (health->checks[i]->telling)
            http_call_cancel(health->checks[i]->telling);
        roll_change_free(&health->checks[i]->note);
        free(health->checks[i]);
    }
    free(health->checks);
    free(health);
}
