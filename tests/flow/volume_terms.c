/*
 * Masters that write one after the other: what the one before has sent, and what waits for a disk
 * when the next one is heard of, changes nothing; and whose word of a term counts.
 */
#include "common/key.h"
#include "common/name.h"
#include "tests/flow/volume_fixture.h"

static const char value[] = "a value";
static char path[256]; /* "/sv00/aa/bb/NAME" of a key */

/* --- A disk that is slow to open files, once --- */

static atomic_bool hold_next;
static atomic_bool is_held;
static atomic_bool let_go;

static int holding_open(int dir, const char *name, int flags, mode_t mode)
{
    if (atomic_exchange(&hold_next, false)) {
        atomic_store(&is_held, true);
        wait_until_set(&let_go);
    }
    return disk_real.open(dir, name, flags, mode);
}

static void begin(void)
{
    static const char text[] = "/a key";
    static struct disk disk;
    struct key key;
    struct buf name = BUF_INIT;
    ck_assert_int_eq(key_from_bytes(&key, text, sizeof text - 1), ST_OK);
    ck_assert_int_eq(name_path(&name, &key, 0, NAMING_LARDER), ST_OK);
    (void)snprintf(path, sizeof path, "/sv00%s", buf_text(&name));
    buf_free(&name);
    disk = disk_real;
    disk.open = holding_open;
    volume_make_dir();
    volume_start(&disk);
    atomic_store(&hold_next, false);
    atomic_store(&is_held, false);
    atomic_store(&let_go, false);
    ck_assert_int_eq(ask("PUT", path, value, sizeof value, "Larder-Term: 5"), 201);
}

static void end(void)
{
    volume_stop();
    volume_remove_dir();
}

static void ck_untouched(void)
{
    char directory[256];
    ck_assert_int_eq(ask_plain("GET", path), 200);
    ck_assert(body_is(value, sizeof value));
    (void)snprintf(directory, sizeof directory, "%.*s/?meta", (int)(strrchr(path, '/') - path),
                   path);
    ck_assert_int_eq(ask_plain("GET", directory), 200);
    ck_assert(!body_has("unlinked"));
}

static void ck_tombstones(bool any)
{
    ck_assert_int_eq(ask_plain("GET", "/admin/tombstones?place=/sv00"), 200);
    ck_assert_int_eq(body_has("generation"), any);
}

/* The status of a request with two fields; by a client of its own, on any thread. */
static int ask_as(const char *method, const char *at, const char *term, const char *field)
{
    struct http_fetcher *own = http_fetcher_new();
    char url[512];
    const char *const fields[] = {term, field, NULL};
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", server_port(volume), at);
    const struct http_call_spec spec = {
        .method = method, .url = url, .fields = fields, .timeout_ms = PATIENCE_MS};
    int status = own && !http_fetch(own, &spec) ? http_fetch_status(own) : -1;
    http_fetcher_free(own);
    return status;
}

/* What the volume says of itself. */
static void read_id(char *id, size_t size)
{
    static const char before[] = "\"id\":\"";
    size_t len;
    ck_assert_int_eq(ask_plain("GET", "/admin/health"), 200);
    const char *at = strstr(http_fetch_body(fetcher, &len), before);
    ck_assert_ptr_nonnull(at);
    (void)snprintf(id, size, "%.32s", at + strlen(before));
}

/* --- A master of term 5, on a thread of its own --- */

struct sender {
    pthread_t thread;
    const char *method, *field;
    int status;
};

static void *send_one(void *arg)
{
    struct sender *sender = arg;
    sender->status = ask_as(sender->method, path, "Larder-Term: 5", sender->field);
    return NULL;
}

/* What was let in while its term was the last, and has come to the disk only now. */
START_TEST(test_what_waits_for_a_disk)
{
    static const struct sender all[] = {{.method = "DELETE"},
                                        {.method = "UNLINK"},
                                        {.method = "DELETE", .field = "Larder-Tombstone: 7"},
                                        {.method = "DELETE", .field = "Larder-Tombstone: drop"}};
    struct sender sender = all[_i];
    begin();
    bool drops = sender.field && strstr(sender.field, "drop");
    if (drops) { /* of a key that has a value again */
        ck_assert_int_eq(ask("DELETE", path, NULL, 0, "Larder-Tombstone: 3"), 204);
        ck_assert_int_eq(ask("PUT", path, value, sizeof value, NULL), 201);
    }
    atomic_store(&hold_next, true);
    ck_assert_int_eq(pthread_create(&sender.thread, NULL, send_one, &sender), 0);
    wait_until_set(&is_held);
    ck_assert_int_eq(ask("GET", "/admin/health", NULL, 0, "Larder-Term: 6"), 200);
    atomic_store(&let_go, true);
    ck_assert_int_eq(pthread_join(sender.thread, NULL), 0);
    ck_assert_int_eq(sender.status, 503);
    ck_untouched();
    ck_tombstones(drops);
    ck_assert_uint_eq(files_in("sv00/.larder/tmp"), 0);
    end();
}
END_TEST

/* The masters of several stores may ask here, each with terms of its own etcd: by mistake, or
 * because another volume was at this address before. */
START_TEST(test_what_is_not_meant_for_us)
{
    char field[128];
    char id[64];
    begin();
    ck_assert_int_eq(ask_as("GET", "/admin/health", "Larder-Term: 900",
                            "Larder-Identity: 0123456789abcdef0123456789abcdef"),
                     200);
    ck_assert_int_eq(ask("PUT", path, value, sizeof value, "Larder-Term: 6"), 204);
    read_id(id, sizeof id);
    (void)snprintf(field, sizeof field, "Larder-Identity: %s", id);
    ck_assert_int_eq(ask_as("GET", "/admin/health", "Larder-Term: 7", field), 200);
    ck_assert_int_eq(ask("PUT", path, value, sizeof value, "Larder-Term: 6"), 503);
    end();
}
END_TEST

int main(void)
{
    if (!http_client_global_init())
        return 1;
    Suite *suite = suite_create("volume terms");
    TCase *tcase = tcase_create("terms");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_what_waits_for_a_disk, 0, 4);
    tcase_add_test(tcase, test_what_is_not_meant_for_us);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
