/* The one list of errors: texts, HTTP statuses, errno. */
#include "common/status.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/suite.h"

static const enum status all[] = {
#define STATUS_NAME(name, http, text) name,
    STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
};

START_TEST(ok_is_zero)
{
    ck_assert_int_eq(ST_OK, 0);
    ck_assert_int_eq(status_http(ST_OK), 200);
}
END_TEST

START_TEST(every_status_has_a_text_and_an_answer)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        ck_assert_uint_gt(strlen(status_text(all[i])), 1);
        int http = status_http(all[i]);
        ck_assert(http == 200 || (http >= 400 && http <= 599));
        ck_assert_str_ne(status_reason(http), "Unknown");
    }
}
END_TEST

START_TEST(client_api_statuses)
{
    static const struct {
        enum status st;
        int http;
    } rows[] = {{ST_BAD_REQUEST, 400},  {ST_EXISTS, 403},       {ST_PROTECTED, 403},
                {ST_NOT_FOUND, 404},    {ST_METHOD, 405},       {ST_TIMEOUT, 408},
                {ST_CONFLICT, 409},     {ST_TOO_LARGE, 413},    {ST_LENGTH_REQUIRED, 411},
                {ST_URI_TOO_LONG, 414}, {ST_DIGEST, 422},       {ST_HEAD_TOO_LARGE, 431},
                {ST_UNAVAILABLE, 503},  {ST_HTTP_VERSION, 505}, {ST_NO_SPACE, 507}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        ck_assert_int_eq(status_http(rows[i].st), rows[i].http);
}
END_TEST

START_TEST(unknown_values_are_answered_too)
{
    enum status none = (enum status)9999;
    ck_assert_ptr_nonnull(status_text(none));
    ck_assert_int_eq(status_http(none), 500);
    ck_assert_str_eq(status_reason(299), "Unknown");
}
END_TEST

START_TEST(errno_becomes_a_status)
{
    ck_assert_int_eq(status_of_errno(ENOSPC), ST_NO_SPACE);
    ck_assert_int_eq(status_of_errno(EDQUOT), ST_NO_SPACE);
    ck_assert_int_eq(status_of_errno(ENOENT), ST_NOT_FOUND);
    ck_assert_int_eq(status_of_errno(EROFS), ST_READ_ONLY);
    ck_assert_int_eq(status_of_errno(ENOMEM), ST_NO_MEMORY);
    ck_assert_int_eq(status_of_errno(EIO), ST_IO);
    ck_assert_int_eq(status_of_errno(EPERM), ST_IO);
}
END_TEST

START_TEST(reasons_are_the_standard_ones)
{
    ck_assert_str_eq(status_reason(200), "OK");
    ck_assert_str_eq(status_reason(201), "Created");
    ck_assert_str_eq(status_reason(204), "No Content");
    ck_assert_str_eq(status_reason(206), "Partial Content");
    ck_assert_str_eq(status_reason(302), "Found");
    ck_assert_str_eq(status_reason(404), "Not Found");
    ck_assert_str_eq(status_reason(503), "Service Unavailable");
    ck_assert_str_eq(status_reason(507), "Insufficient Storage");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {ok_is_zero,
                                  every_status_has_a_text_and_an_answer,
                                  client_api_statuses,
                                  unknown_values_are_answered_too,
                                  errno_becomes_a_status,
                                  reasons_are_the_standard_ones,
                                  NULL};
    Suite *suite = suite_create("status");
    suite_case(suite, "status", tests);
    return suite_run(suite);
}
