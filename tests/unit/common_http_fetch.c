/* Blocking calls, against a small server with scripted answers. */
#include "common/http_client.h"
#include "common/http_fetch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/loop.h"
#include "tests/unit/http_peer.h"
#include "tests/unit/suite.h"

static size_t give(void *arg, char *to, size_t max)
{
    size_t *left = arg;
    size_t n = *left < max ? *left : max;
    memset(to, 'u', n);
    *left -= n;
    return n;
}

START_TEST(blocking_fetches)
{
    struct http_fetcher *fetcher = http_fetcher_new();
    ck_assert_ptr_nonnull(fetcher);
    struct http_call_spec spec = {.method = "GET", .url = url("/hello")};
    size_t len;
    ck_assert_ptr_null(http_fetch_field(fetcher, "X-Word")); /* no answer yet */
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(http_fetch(fetcher, &spec), ST_OK);
        ck_assert_int_eq(http_fetch_status(fetcher), 200);
        ck_assert_str_eq(http_fetch_body(fetcher, &len), "hello");
        ck_assert_uint_eq(len, 5);
        ck_assert_str_eq(http_fetch_field(fetcher, "X-Word"), "one");
    }
    ck_assert_int_eq(atomic_load(&connections), 1);
    spec.url = url("/big"); /* kept whole */
    ck_assert_int_eq(http_fetch(fetcher, &spec), ST_OK);
    (void)http_fetch_body(fetcher, &len);
    ck_assert_uint_eq(len, BIG);
    ck_assert_ptr_null(http_fetch_field(fetcher, "X-Word"));
    spec.url = url("/cut");
    ck_assert_int_eq(http_fetch(fetcher, &spec), ST_PEER);
    http_fetcher_free(fetcher);
    http_fetcher_free(NULL);
}
END_TEST

static void *interrupt_soon(void *arg)
{
    (void)usleep(50000);
    http_fetcher_interrupt(arg);
    return NULL;
}

/* Who stops must not wait for a server that does not answer. */
START_TEST(blocking_fetches_are_interrupted)
{
    struct http_fetcher *fetcher = http_fetcher_new();
    const struct http_call_spec slow = {.method = "GET", .url = url("/slow")};
    const struct http_call_spec hello = {.method = "GET", .url = url("/hello")};
    pthread_t thread;
    for (int i = 0; i < 3; i++) {
        uint64_t began = loop_now_ms();
        ck_assert_int_eq(pthread_create(&thread, NULL, interrupt_soon, fetcher), 0);
        ck_assert_int_eq(http_fetch(fetcher, &slow), ST_CLOSED);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_int_eq(http_fetch(fetcher, &slow), ST_CLOSED); /* nor is another begun */
        ck_assert_uint_lt(loop_now_ms() - began, 10000);
        http_fetcher_resume(fetcher);
        ck_assert_int_eq(http_fetch(fetcher, &hello), ST_OK);
        ck_assert_int_eq(http_fetch(fetcher, &hello), ST_OK);
    }
    http_fetcher_free(fetcher);
}
END_TEST

START_TEST(blocking_upload)
{
    struct http_fetcher *fetcher = http_fetcher_new();
    size_t left = 300000;
    struct http_call_spec spec = {.method = "PUT",
                                  .url = url("/put"),
                                  .has_body = true,
                                  .body_length = 300000,
                                  .read = give,
                                  .arg = &left};
    ck_assert_int_eq(http_fetch(fetcher, &spec), ST_OK);
    ck_assert_int_eq(http_fetch_status(fetcher), 404);
    ck_assert_uint_eq(strspn(strstr(last_request, "\r\n\r\n") + 4, "u"), 300000);
    http_fetcher_free(fetcher);
}
END_TEST

static void start(void)
{
    ck_assert(http_client_global_init());
    start_peer();
}

int main(void)
{
    const TTest *const tests[] = {blocking_fetches, blocking_fetches_are_interrupted,
                                  blocking_upload, NULL};
    Suite *suite = suite_create("http_fetch");
    tcase_add_checked_fixture(suite_case(suite, "http_fetch", tests), start, end_peer);
    return suite_run(suite);
}
