/*
 * Appending to the log of several masters, over an etcd that fails at every step in every way: what
 * the caller is told must be what came of it, also of what arrives late.
 */
#include "master/oplog.h"

#include "tests/flow/fake_etcd.h"

#define WRITER "w1:3000"

static struct oplog_keys keys;
static struct etcd etcd;
static unsigned pauses, patience;
static unsigned char usurper[ENTRY_TOKEN] = {42};

static void put_text(const char *key, const char *text, int64_t lease)
{
    fake_put(key, text, strlen(text), lease);
}

static void setup(void)
{
    log_set_level((enum log_level)(LOG_ERROR + 1));
    fake_etcd_clear();
    ck_assert(oplog_keys_init(&keys, "/t"));
    put_text(keys.head, "10", 0);
    put_text(keys.writer, WRITER, 77);
    pauses = 0;
    patience = 20;
}

static void teardown(void)
{
    fake_etcd_clear();
}

/* The lease of ours expires, another master takes over and appends an entry of its own. */
static void usurp(void)
{
    const struct fake_key *head = fake_key_find(keys.head);
    uint64_t first = strtoull(head->value, NULL, 10) + 1;
    struct entry entry = {.first = first, .count = 1, .term = 99, .ops = "", .ops_len = 0};
    struct buf bytes = BUF_INIT;
    char key[OPLOG_KEY_MAX];
    char text[24];
    struct fake_key *writer = fake_key_find(keys.writer);
    writer->created = ++fake_etcd.revision;
    writer->lease = 78;
    memcpy(entry.token, usurper, sizeof usurper);
    ck_assert_int_eq(entry_encode(&bytes, &entry), ST_OK);
    oplog_entry_key(&keys, first, key);
    fake_put(key, bytes.data, bytes.len, 0);
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)first);
    put_text(keys.head, text, 0);
    buf_free(&bytes);
}

static bool holds(void *arg UNUSED)
{
    return pauses < patience;
}

static void pause_once(void *arg UNUSED)
{
    pauses++;
}

static enum status append(struct entry *entry)
{
    const struct oplog_claim claim = {.term = fake_key_find(keys.writer)->created,
                                      .lease = 77,
                                      .holds = holds,
                                      .pause = pause_once};
    *entry = (struct entry){.first = 11, .count = 3, .ops = "", .ops_len = 0};
    fake_etcd.usurp = usurp;
    return oplog_append(&keys, &etcd, &claim, entry);
}

/* Whether the log holds this entry at its place. */
static bool is_in_log(const struct entry *entry)
{
    char key[OPLOG_KEY_MAX];
    struct entry there;
    oplog_entry_key(&keys, entry->first, key);
    const struct fake_key *at = fake_key_find(key);
    return at && entry_decode(&there, at->value, at->len) == ST_OK &&
           memcmp(there.token, entry->token, ENTRY_TOKEN) == 0 && there.count == entry->count &&
           there.term == entry->term;
}

static void ck_head(const char *expected)
{
    ck_assert_str_eq(fake_key_find(keys.head)->value, expected);
}

START_TEST(an_entry_moves_the_head)
{
    struct entry entry;
    ck_assert_int_eq(append(&entry), ST_OK);
    ck_assert(is_in_log(&entry));
    ck_head("13");
    ck_assert_uint_eq(fake_etcd.requests, 1);
}
END_TEST

START_TEST(no_space_is_certain_only_where_nothing_is_in_doubt)
{
    struct entry entry;
    fake_etcd.script[0] = FAULT_FULL;
    ck_assert_int_eq(append(&entry), ST_NO_SPACE);
    ck_assert_uint_eq(fake_etcd.requests, 2); /* and it was looked whether it is there */
    ck_assert(!is_in_log(&entry));

    /* The first try arrives late, after the second was refused. */
    fake_etcd.requests = 0;
    fake_etcd.script[0] = FAULT_LATE;
    fake_etcd.script[1] = FAULT_FULL;
    ck_assert_int_eq(append(&entry), ST_OK);
    ck_assert(is_in_log(&entry));
}
END_TEST

/* etcd's quota is looked at again after a transaction was made. */
START_TEST(no_space_may_be_said_of_what_was_done)
{
    struct entry entry;
    fake_etcd.script[0] = FAULT_FILLED;
    ck_assert_int_eq(append(&entry), ST_OK);
    ck_assert(is_in_log(&entry));
    ck_head("13");
}
END_TEST

/* The look has no answer: it is in doubt from then on, but not for ever. */
START_TEST(no_space_and_no_look_is_doubt)
{
    struct entry entry;
    patience = 1000;
    fake_etcd.script[0] = FAULT_FULL;
    fake_etcd.script[1] = FAULT_AWAY;
    ck_assert_int_eq(append(&entry), ST_OK); /* there is room again */
    ck_assert(is_in_log(&entry));
}
END_TEST

START_TEST(a_claim_that_ends_leaves_what_is_in_doubt_unknown)
{
    struct entry entry;
    patience = 2;
    for (size_t i = 0; i < FAKE_STEPS; i++)
        fake_etcd.script[i] = FAULT_LOST;
    ck_assert_int_eq(append(&entry), ST_UNKNOWN);

    pauses = 0;
    fake_etcd.requests = 0;
    for (size_t i = 0; i < FAKE_STEPS; i++)
        fake_etcd.script[i] = FAULT_AWAY;
    ck_assert_int_eq(append(&entry), ST_NOT_WRITER); /* nothing was ever sent */
    ck_head("10");
}
END_TEST

/* Every fault at each of four requests, in every combination, with patience and without. */
START_TEST(what_is_told_is_what_came_of_it)
{
    unsigned outcomes[3] = {0};
    for (unsigned n = 0; n < FAULTS * FAULTS * FAULTS * FAULTS * 2; n++) {
        struct entry entry;
        unsigned rest = n / 2;
        setup();
        for (size_t i = 0; i < 4; i++, rest /= FAULTS)
            fake_etcd.script[i] = (enum fake_fault)(rest % FAULTS);
        patience = n % 2 ? 20 : 3;
        enum status st = append(&entry);
        fake_arrive();
        bool there = is_in_log(&entry);
        if (st == ST_OK)
            ck_assert_msg(there, "script %u", n);
        else if (st != ST_UNKNOWN)
            ck_assert_msg(!there, "script %u: %d", n, st);
        outcomes[st == ST_OK ? 0 : st == ST_UNKNOWN ? 1 : 2]++;
        teardown();
    }
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_gt(outcomes[i], 0);
}
END_TEST

/* What was refused for good cannot be made good by a try that arrives afterwards. */
START_TEST(nothing_late_succeeds_after_a_refusal)
{
    struct entry entry;
    fake_etcd.script[0] = FAULT_LOST;
    fake_etcd.script[1] = FAULT_USURPED;
    ck_assert_int_eq(append(&entry), ST_NOT_WRITER);
    ck_assert(!is_in_log(&entry));
    ck_head("11");
}
END_TEST

static unsigned seen;

static enum status see(void *arg UNUSED, const struct entry *entry, size_t size)
{
    ck_assert_uint_eq(entry->first, 11);
    ck_assert_uint_eq(size, ENTRY_HEAD);
    seen++;
    return ST_OK;
}

START_TEST(entries_are_fetched_and_damaged_ones_refused)
{
    struct entry entry;
    size_t count;
    seen = 0;
    ck_assert_int_eq(append(&entry), ST_OK);
    ck_assert_int_eq(oplog_fetch(&keys, &etcd, 11, OPLOG_FETCH, true, 0, see, NULL, &count), ST_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(seen, 1);
    ck_assert_int_eq(oplog_fetch(&keys, &etcd, 14, OPLOG_FETCH, false, 0, see, NULL, &count),
                     ST_OK);
    ck_assert_uint_eq(count, 0);
    char key[OPLOG_KEY_MAX];
    oplog_entry_key(&keys, 11, key);
    fake_key_find(key)->value[20] ^= 1;
    ck_assert_int_eq(oplog_fetch(&keys, &etcd, 11, OPLOG_FETCH, true, 0, see, NULL, &count),
                     ST_CORRUPT);
    ck_assert_uint_eq(seen, 1);
}
END_TEST

/* Between the two reads another master becomes the writer, and appends. */
START_TEST(the_writer_and_the_head_are_of_one_moment)
{
    struct etcd_answer writer;
    uint64_t head;
    int64_t term = fake_key_find(keys.writer)->created;
    fake_etcd.usurp = usurp;
    fake_etcd.script[1] = FAULT_USURPED;
    ck_assert_int_eq(oplog_look(&keys, &etcd, 0, &writer, &head), ST_OK);
    ck_assert_int_eq(etcd_answer_find(&writer, keys.writer)->create_revision, term);
    ck_assert_uint_eq(head, 10);
    etcd_answer_free(&writer);
    ck_assert_int_eq(oplog_look(&keys, &etcd, 0, &writer, &head), ST_OK);
    ck_assert_int_ne(etcd_answer_find(&writer, keys.writer)->create_revision, term);
    ck_assert_uint_eq(head, 11);
    etcd_answer_free(&writer);

    for (unsigned i = 0; i < 2; i++) {
        fake_etcd.requests = 0;
        fake_etcd.script[i] = FAULT_AWAY;
        fake_etcd.script[1 - i] = FAULT_NONE;
        ck_assert_int_eq(oplog_look(&keys, &etcd, 0, &writer, &head), ST_UNAVAILABLE);
        etcd_answer_free(&writer);
    }
    put_text(keys.head, "x", 0);
    ck_assert_int_eq(oplog_look(&keys, &etcd, 0, &writer, &head), ST_NOT_FOUND);
    etcd_answer_free(&writer);
}
END_TEST

START_TEST(the_head_must_be_a_number)
{
    uint64_t head;
    ck_assert_int_eq(oplog_head(&keys, &etcd, 0, &head), ST_OK);
    ck_assert_uint_eq(head, 10);
    put_text(keys.head, "10x", 0);
    ck_assert_int_eq(oplog_head(&keys, &etcd, 0, &head), ST_CORRUPT);
    fake_etcd.script[fake_etcd.requests] = FAULT_AWAY;
    ck_assert_int_eq(oplog_head(&keys, &etcd, 0, &head), ST_UNAVAILABLE);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {an_entry_moves_the_head,
                                  no_space_is_certain_only_where_nothing_is_in_doubt,
                                  no_space_may_be_said_of_what_was_done,
                                  no_space_and_no_look_is_doubt,
                                  a_claim_that_ends_leaves_what_is_in_doubt_unknown,
                                  what_is_told_is_what_came_of_it,
                                  nothing_late_succeeds_after_a_refusal,
                                  entries_are_fetched_and_damaged_ones_refused,
                                  the_writer_and_the_head_are_of_one_moment,
                                  the_head_must_be_a_number,
                                  NULL};
    Suite *suite = suite_create("master_oplog");
    tcase_add_checked_fixture(suite_case(suite, "oplog", tests), setup, teardown);
    return suite_run(suite);
}
