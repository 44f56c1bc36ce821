/* Health checks: what answers are understood as, who is asked when, which identities are kept. */
#include "common/buf.h"
#include "master/health.h"
#include "master/index.h"
#include "master/probe.h"
#include "master/roll.h"
#include "tests/flow/fake_client.h"
#include "tests/flow/fake_loop.h"
#include "tests/flow/fake_master.h"
#include "tests/unit/volumes_fixture.h"

#define ID    "0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210"

/* --- an index that notes what it is told of volumes --- */

static struct {
    struct index_change *pending;
    char name[64], value[256];
    unsigned noted;
} fake_notes;

uint64_t index_reading_term(struct index *index UNUSED)
{
    return 0; /* there is one master only */
}

void index_change_begin(struct index_change *change, struct loop *loop UNUSED,
                        void (*committed)(void *arg, enum status st), void *arg)
{
    ck_assert_ptr_ne(change, fake_notes.pending);
    change->committed = committed;
    change->arg = arg;
}

void index_change_volume(struct index_change *change UNUSED, const char *name, const char *value)
{
    (void)snprintf(fake_notes.name, sizeof fake_notes.name, "%s", name);
    (void)snprintf(fake_notes.value, sizeof fake_notes.value, "%s", value);
}

void index_change_free(struct index_change *change)
{
    ck_assert_ptr_ne(change, fake_notes.pending);
}

void index_commit(struct index *index UNUSED, struct index_change *change)
{
    fake_notes.pending = change;
    fake_notes.noted++;
}

static void index_commits(enum status st)
{
    struct index_change *change = fake_notes.pending;
    ck_assert_ptr_nonnull(change);
    fake_notes.pending = NULL;
    change->committed(change->arg, st);
}

/* --- the volumes are real --- */

static struct health *health;

static void setup(void)
{
    master_is_new();
    fake_now = 1000;
    memset(&fake_notes, 0, sizeof fake_notes);
    volumes = volumes_new(1, 600000);
    ck_assert_ptr_nonnull(volumes);
    fake_master.volumes = volumes;
    fake_config.voltimeout_ms = 700;
    add("v1:1", NULL);
    add("v2:1", NULL);
    fake_master.roll = roll_new(NULL, volumes);
    ck_assert_ptr_nonnull(fake_master.roll);
    health = health_new(&fake_worker);
    ck_assert_ptr_nonnull(health);
}

static void teardown(void)
{
    health_free(health);
    health_free(NULL);
    roll_free(fake_master.roll);
    volumes_free(volumes);
    calls_forget();
    ck_assert_ptr_null(fake_timers);
}

static void answers(const char *volume, const char *text)
{
    struct http_call *call = call_to(volume);
    ck_assert_ptr_nonnull(call);
    call->body = text;
    call_ends(call, ST_OK, 200);
}

static enum volume_state state_of(const char *place)
{
    return volumes_state(volumes, place);
}

#define CALLED(id, name)                                                                           \
    "{\"server\":\"larder-volume\",\"id\":\"" id "\",\"name\":\"" name                             \
    "\",\"state\":\"up\",\"free\":5,\"total\":9,\"subvolumes\":{}}"
#define LARDER(id) CALLED(id, "v1:1")

/* --- reading answers --- */

static struct volume_report report_of(const char *text)
{
    struct volume_report report = {0};
    probe_parse(&report, text, strlen(text));
    ck_assert(report.answered);
    return report;
}

START_TEST(a_volume_of_ours_says_how_it_is)
{
    struct volume_report report = report_of(
        "{\"server\":\"larder-volume\",\"id\":\"" ID "\",\"free\":5,\"total\":9,\"subvolumes\":{"
        "\"sv00\":{\"state\":\"up\",\"free\":1,\"total\":2,\"errors\":3},"
        "\"sv01\":{\"state\":\"full\"},\"sv02\":{\"state\":\"read-only\"},"
        "\"sv03\":{\"state\":\"missing\"},\"sv04\":{\"state\":\"on fire\"},\"\":{}}}");
    static const enum volume_state states[] = {VOLUME_UP,   VOLUME_FULL, VOLUME_READ_ONLY,
                                               VOLUME_DOWN, VOLUME_DOWN, VOLUME_UP};
    ck_assert_int_eq(report.kind, VOLUME_LARDER);
    ck_assert_str_eq(report.id, ID);
    ck_assert_uint_eq(report.free, 5);
    ck_assert_uint_eq(report.total, 9);
    ck_assert_uint_eq(report.subvolume_count, 6);
    for (size_t i = 0; i < 6; i++) {
        const struct subvolume_report *sub = &report.subvolumes[i];
        size_t which = sub->name[0] ? (size_t)(sub->name[3] - '0') : 5;
        ck_assert_int_eq(sub->state, states[which]);
        ck_assert_uint_eq(sub->errors, which == 0 ? 3 : 0);
    }
    free(report.subvolumes);
}
END_TEST

#define NOT_OURS "{\"server\":\"other\",\"id\":\"0123456789abcdef0123456789abcdef\"}"

START_TEST(any_other_answer_is_a_plain_volume)
{
    static const char *const texts[] = {"", "<html>nginx</html>", "[1,2]", NOT_OURS,
                                        "{\"server\":7}"};
    struct volume_report report = report_of(texts[_i]);
    ck_assert_int_eq(report.kind, VOLUME_PLAIN);
    ck_assert_str_eq(report.id, "");
    ck_assert_uint_eq(report.subvolume_count, 0);
}
END_TEST

START_TEST(nonsense_does_no_harm)
{
    struct volume_report report =
        report_of("{\"server\":\"larder-volume\",\"id\":\"short\",\"free\":\"x\",\"subvolumes\":{"
                  "\"a-name-that-is-much-longer-than-it-may-be\":7}}");
    ck_assert_str_eq(report.id, "");
    ck_assert_uint_eq(report.free, 0);
    ck_assert_uint_eq(strlen(report.subvolumes[0].name), sizeof report.subvolumes[0].name - 1);
    free(report.subvolumes);
}
END_TEST

/* --- asking --- */

START_TEST(all_are_asked_twice_a_second)
{
    loop_turns();
    ck_trace("GET:v1:1 GET:v2:1 ");
    ck_assert_str_eq(call_to("v1:1")->url, "http://v1:1/admin/health");
    ck_assert_uint_eq(call_to("v1:1")->spec.timeout_ms, 700);
    answers("v1:1", LARDER(ID));
    answers("v2:1", "nginx");
    ck_assert_int_eq(state_of("v1:1"), VOLUME_UP);
    ck_assert_int_eq(state_of("v2:1"), VOLUME_UP);
    time_passes(400);
    ck_trace("");
    time_passes(100);
    ck_trace("GET:v1:1 GET:v2:1 ");
    index_commits(ST_OK);
}
END_TEST

START_TEST(those_that_are_down_more_often)
{
    loop_turns();
    answers("v1:1", "nginx");
    call_ends(call_to("v2:1"), ST_UNAVAILABLE, 0);
    ck_assert_int_eq(state_of("v2:1"), VOLUME_DOWN);
    trace[0] = 0;
    time_passes(250);
    ck_trace("GET:v2:1 ");
    time_passes(250); /* not again while it is still asked */
    ck_trace("GET:v1:1 ");
    answers("v2:1", "nginx");
    ck_assert_int_eq(state_of("v2:1"), VOLUME_UP);
}
END_TEST

START_TEST(two_silences_make_it_down)
{
    loop_turns();
    answers("v1:1", "nginx");
    answers("v2:1", "nginx");
    time_passes(1000);
    ck_assert(hesitates("v1:1")); /* asked half a second ago */
    call_ends(call_to("v1:1"), ST_PEER_TIMEOUT, 0);
    ck_assert(!hesitates("v1:1"));
    ck_assert_int_eq(state_of("v1:1"), VOLUME_SLOW);
    time_passes(1000);
    call_ends(call_to("v1:1"), ST_PEER_TIMEOUT, 0);
    ck_assert_int_eq(state_of("v1:1"), VOLUME_DOWN);
    ck_assert(volumes_lost(volumes, "v1:1"));
}
END_TEST

/* It must not be taken for a plain server, which could keep no tombstones. */
START_TEST(an_overloaded_volume_keeps_its_kind)
{
    loop_turns();
    answers("v1:1", LARDER(ID));
    answers("v2:1", "nginx");
    index_commits(ST_OK);
    time_passes(1000);
    call_to("v1:1")->body = "too many connections";
    call_ends(call_to("v1:1"), ST_OK, 503);
    ck_assert_int_eq(state_of("v1:1"), VOLUME_SLOW);
    ck_assert_int_eq(volumes_kind(volumes, "v1:1"), VOLUME_LARDER);
}
END_TEST

START_TEST(new_volumes_are_asked_too)
{
    loop_turns();
    answers("v1:1", "nginx");
    answers("v2:1", "nginx");
    trace[0] = 0;
    add("v3:1", NULL);
    time_passes(250);
    ck_trace("GET:v3:1 ");
}
END_TEST

START_TEST(calls_cannot_be_started)
{
    calls.fail_all = true;
    loop_turns();
    ck_assert_int_eq(state_of("v1:1"), VOLUME_UNKNOWN);
    calls.fail_all = false;
    time_passes(1000);
    answers("v1:1", "nginx");
    ck_assert_int_eq(state_of("v1:1"), VOLUME_UP);
}
END_TEST

START_TEST(stopping_cancels_what_is_under_way)
{
    loop_turns();
    trace[0] = 0;
    health_free(health);
    health = NULL;
    ck_trace("cancel:v1:1 cancel:v2:1 ");
}
END_TEST

/* --- identities --- */

START_TEST(the_first_identity_goes_into_the_index)
{
    loop_turns();
    answers("v1:1", LARDER(ID));
    ck_assert_uint_eq(fake_notes.noted, 1);
    ck_assert_str_eq(fake_notes.name, "v1:1");
    ck_assert_str_eq(fake_notes.value, "{\"id\":\"" ID "\",\"added\":1700000000}");
    index_commits(_i ? ST_NO_SPACE : ST_OK);
    time_passes(1000);
    answers("v1:1", LARDER(ID));
    ck_assert_uint_eq(fake_notes.noted, 1);
    time_passes(1000);
    answers("v1:1", LARDER(OTHER));
    ck_assert_int_eq(state_of("v1:1"), VOLUME_FOREIGN);
    ck_assert_uint_eq(fake_notes.noted, 1);
}
END_TEST

/* --- terms --- */

static uint64_t term_seven(struct cluster *cluster UNUSED)
{
    return 7;
}

static bool always(struct cluster *cluster UNUSED)
{
    return true;
}

/* Who has not said yet that he is a volume of ours may be one of another store. */
START_TEST(only_a_volume_of_ours_is_told_the_term)
{
    char several;
    fake_master.cluster = (struct cluster *)(void *)&several;
    fake_master.may_write = always;
    fake_master.term = term_seven;
    loop_turns();
    ck_assert_str_eq(call_to("v1:1")->fields, "Larder-Internal: 1\n");
    answers("v1:1", LARDER(ID));
    answers("v2:1", "nginx");
    index_commits(ST_OK);
    time_passes(1000);
    ck_assert_str_eq(call_to("v1:1")->fields,
                     "Larder-Internal: 1\nLarder-Term: 7\nLarder-Identity: " ID "\n");
    ck_assert_str_eq(call_to("v2:1")->fields, "Larder-Internal: 1\n");
    answers("v1:1", LARDER(OTHER));
    time_passes(1000); /* it is asked who it is, in the name of the one that is known */
    ck_assert_ptr_nonnull(strstr(call_to("v1:1")->fields, ID));
}
END_TEST

/* --- names --- */

START_TEST(a_volume_is_told_its_name)
{
    static const char *const others[] = {CALLED(ID, ""), CALLED(ID, "v7:1"), CALLED(ID, "none")};
    loop_turns();
    answers("v1:1", others[_i]);
    ck_assert_str_eq(call_to("v1:1")->method, "POST");
    ck_assert_str_eq(call_to("v1:1")->url, "http://v1:1/admin/name?name=v1%3A1");
    index_commits(ST_OK);
    call_ends(call_to("v1:1"), ST_OK, _i ? 200 : 503);
    trace[0] = 0;
    time_passes(500);
    answers("v1:1", others[_i]); /* its disk may be full, or another master may tell it otherwise */
    ck_assert_ptr_null(call_to("v1:1"));
    time_passes(30000);
    answers("v1:1", others[_i]);
    ck_assert_str_eq(call_to("v1:1")->method, "POST");
    call_ends(call_to("v1:1"), ST_OK, 200);
}
END_TEST

START_TEST(only_its_own_volume_is_told)
{
    loop_turns();
    answers("v1:1", LARDER(ID));
    index_commits(ST_OK);
    time_passes(1000);
    answers("v1:1", CALLED(OTHER, ""));
    ck_assert_int_eq(state_of("v1:1"), VOLUME_FOREIGN);
    ck_assert_ptr_null(call_to("v1:1"));
    answers("v2:1", "nginx");
    ck_assert_ptr_null(call_to("v2:1"));
}
END_TEST

/* --- addresses --- */

START_TEST(it_is_asked_where_it_is_reached)
{
    struct volume_facts facts;
    loop_turns();
    answers("v1:1", LARDER(ID));
    index_commits(ST_OK);
    time_passes(1000);
    (void)volumes_facts(volumes, "v1:1", &facts);
    memcpy(facts.address, "v9:1", 5);
    ck_assert_int_eq(volumes_set(volumes, "v1:1", &facts), ST_OK);
    answers("v1:1", CALLED(OTHER, "")); /* who is there now is nobody's business */
    ck_assert_int_eq(state_of("v1:1"), VOLUME_UNKNOWN);
    ck_assert_ptr_null(call_to("v1:1"));
    time_passes(1000);
    ck_assert_ptr_null(call_to("v1:1"));
    answers("v9:1", LARDER(ID));
    ck_assert_int_eq(state_of("v1:1"), VOLUME_UP);
    ck_assert_uint_eq(fake_notes.noted, 1);
}
END_TEST

/* All of the volume's description is noted, or none. */
static void play_without_memory(unsigned k)
{
    setup();
    loop_turns();
    memory_arm(k);
    answers("v1:1", LARDER(ID));
    memory.left = 0;
    if (fake_notes.noted) {
        ck_assert_str_eq(fake_notes.value, "{\"id\":\"" ID "\",\"added\":1700000000}");
        index_commits(ST_OK);
    }
    teardown();
}

START_TEST(memory_may_run_out)
{
    teardown();
    memory_sweep(play_without_memory);
    setup();
}
END_TEST

int main(void)
{
    const struct played tests[] = {{a_volume_of_ours_says_how_it_is, 1},
                                   {any_other_answer_is_a_plain_volume, 5},
                                   {nonsense_does_no_harm, 1},
                                   {all_are_asked_twice_a_second, 1},
                                   {those_that_are_down_more_often, 1},
                                   {two_silences_make_it_down, 1},
                                   {an_overloaded_volume_keeps_its_kind, 1},
                                   {new_volumes_are_asked_too, 1},
                                   {calls_cannot_be_started, 1},
                                   {stopping_cancels_what_is_under_way, 1},
                                   {the_first_identity_goes_into_the_index, 2},
                                   {only_a_volume_of_ours_is_told_the_term, 1},
                                   {a_volume_is_told_its_name, 3},
                                   {only_its_own_volume_is_told, 1},
                                   {it_is_asked_where_it_is_reached, 1},
                                   {memory_may_run_out, 1},
                                   {NULL, 0}};
    return play_all("master_health", tests, setup, teardown);
}
