/* Who may have a volume fetch copies: the hosts of its list, by whatever addresses they have, or
 * the first that told it its name. The resolver is the test's own. */
#include "volume/masters.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/options.h"
#include "tests/unit/suite.h"

enum { PATIENCE_MS = 20000 };

static struct masters *masters;
static const struct option_list none;
static char dir[64];
static int dir_fd;

/* --- a resolver: "many" has these addresses; others are what they say --- */

static const char *many[4];
static unsigned asked;

struct answer {
    struct addrinfo info;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static void fill(struct answer *answer, const char *text)
{
    answer->in = (struct sockaddr_in){.sin_family = AF_INET};
    answer->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &answer->in.sin_addr) == 1)
        answer->info = (struct addrinfo){.ai_family = AF_INET,
                                         .ai_addr = (struct sockaddr *)&answer->in,
                                         .ai_addrlen = sizeof answer->in};
    else if (inet_pton(AF_INET6, text, &answer->in6.sin6_addr) == 1)
        answer->info = (struct addrinfo){.ai_family = AF_INET6,
                                         .ai_addr = (struct sockaddr *)&answer->in6,
                                         .ai_addrlen = sizeof answer->in6};
    else
        ck_abort_msg("asked for %s", text);
}

int getaddrinfo(const char *name, const char *service UNUSED, const struct addrinfo *req UNUSED,
                struct addrinfo **pai)
{
    bool is_many = strcmp(name, "many") == 0;
    const char *one[] = {name, NULL};
    const char *const *texts = is_many ? many : one;
    asked += is_many;
    if (!texts[0])
        return EAI_AGAIN;
    *pai = NULL;
    for (; *texts; texts++) {
        struct answer *answer = calloc(1, sizeof *answer);
        ck_assert_ptr_nonnull(answer);
        fill(answer, *texts);
        answer->info.ai_next = *pai;
        *pai = &answer->info;
    }
    return 0;
}

void freeaddrinfo(struct addrinfo *ai)
{
    while (ai) {
        struct addrinfo *next = ai->ai_next;
        free(ai); /* the first member of its answer */
        ai = next;
    }
}

/* --- */

static void setup(void)
{
    log_set_level((enum log_level)(LOG_ERROR + 1));
    strcpy(dir, "/tmp/larder-masters.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    masters = masters_new(&none, dir_fd);
    ck_assert_ptr_nonnull(masters);
}

static void teardown(void)
{
    masters_free(masters);
    (void)unlinkat(dir_fd, "master", 0);
    (void)close(dir_fd);
    ck_assert_int_eq(rmdir(dir), 0);
}

static void restart(const struct option_list *list)
{
    masters_free(masters);
    masters = masters_new(list, dir_fd);
    ck_assert_ptr_nonnull(masters);
}

/* And whoever comes later is not, however he speaks. */
START_TEST(test_the_first_that_tells_the_name)
{
    ck_assert(!masters_know(masters, "10.0.0.1:4000"));
    masters_named(masters, "10.0.0.1:4000");
    ck_assert(masters_know(masters, "10.0.0.1:4001")); /* another connection */
    masters_named(masters, "10.0.0.2:4000");
    ck_assert(!masters_know(masters, "10.0.0.2:4000"));
    restart(&none); /* it need not tell the name again */
    ck_assert(masters_know(masters, "10.0.0.1:9"));
    masters_named(masters, "10.0.0.2:4000");
    ck_assert(!masters_know(masters, "10.0.0.2:4000"));
}
END_TEST

START_TEST(test_only_those_of_the_list)
{
    char first[] = "127.0.0.7:3000";
    char second[] = "[::1]:3000";
    char third[] = "127.0.0.8:3000/path";
    char *items[] = {first, second, third};
    const struct option_list list = {.items = items, .count = 3};
    masters_named(masters, "10.0.0.1:4000"); /* which is not asked for any more */
    restart(&list);
    ck_assert(masters_know(masters, "127.0.0.7:1"));
    ck_assert(masters_know(masters, "[::1]:1"));
    ck_assert(masters_know(masters, "[::ffff:127.0.0.8]:1"));
    ck_assert(!masters_know(masters, "10.0.0.1:4000"));
    masters_named(masters, "10.0.0.1:4000");
    ck_assert(!masters_know(masters, "10.0.0.1:4000"));
    ck_assert(!masters_look_up(masters, "10.0.0.1:4000"));
    ck_assert(masters_know(masters, "127.0.0.7:1"));
}
END_TEST

static void wait_until_it_may_look(void)
{
    uint64_t until = loop_now_ms() + PATIENCE_MS;
    while (!masters_may_look(masters)) {
        ck_assert_uint_lt(loop_now_ms(), until);
        (void)usleep(20000);
    }
}

/* A name with several addresses, one of which was not told at first; one that changes. */
START_TEST(test_names_are_resolved_again)
{
    char name[] = "many:3000";
    char *items[] = {name};
    const struct option_list list = {.items = items, .count = 1};
    many[0] = "10.0.0.1";
    many[1] = "10.0.0.2";
    many[2] = "fd00::1";
    asked = 0;
    restart(&list);
    ck_assert(masters_know(masters, "10.0.0.1:1"));
    ck_assert(masters_know(masters, "10.0.0.2:1"));
    ck_assert(masters_know(masters, "[fd00::1]:1"));
    ck_assert_uint_eq(asked, 1);

    many[2] = "10.0.0.3";
    ck_assert(masters_may_look(masters));
    ck_assert(masters_look_up(masters, "10.0.0.3:1"));
    ck_assert_uint_eq(asked, 2);
    many[2] = "10.0.0.4";
    for (int i = 0; i < 100; i++) /* however many strangers come, it is not asked for each */
        ck_assert(!masters_look_up(masters, "10.0.0.4:1"));
    ck_assert(!masters_may_look(masters));
    ck_assert_uint_eq(asked, 2);
    wait_until_it_may_look();
    ck_assert(masters_look_up(masters, "10.0.0.4:1"));
    ck_assert_uint_eq(asked, 3);
    ck_assert(masters_know(masters, "[fd00::1]:1")); /* it may be told again the next time */
}
END_TEST

/* Nobody could tell at the start. */
START_TEST(test_a_name_that_is_not_known_at_the_start)
{
    char name[] = "many:3000";
    char *items[] = {name};
    const struct option_list list = {.items = items, .count = 1};
    many[0] = NULL;
    restart(&list);
    ck_assert(!masters_know(masters, "10.0.0.1:1"));
    many[0] = "10.0.0.1";
    many[1] = NULL;
    masters_named(masters, "10.0.0.1:1");
    ck_assert(masters_know(masters, "10.0.0.1:1"));
}
END_TEST

/* --- what strangers and operators are told --- */

static unsigned lines_with(FILE *captured, const char *text)
{
    char line[2048];
    unsigned count = 0;
    rewind(captured);
    while (fgets(line, sizeof line, captured))
        count += strstr(line, text) != NULL;
    return count;
}

START_TEST(test_strangers_are_told_what_to_do)
{
    char advice[MASTERS_ADVICE];
    char peer[32];
    char first[] = "127.0.0.7:3000";
    char *items[] = {first};
    const struct option_list list = {.items = items, .count = 1};
    FILE *captured = tmpfile();
    int kept_stderr = dup(STDERR_FILENO);
    ck_assert(captured && kept_stderr >= 0);
    masters_refuse(masters, "10.0.0.1:4000", advice);
    ck_assert_ptr_nonnull(strstr(advice, "none has told it its name"));
    masters_named(masters, "10.0.0.2:4000");
    masters_refuse(masters, "10.0.0.1:4000", advice);
    ck_assert_ptr_nonnull(strstr(advice, ".larder/master"));

    restart(&list);
    ck_assert_int_ge(dup2(fileno(captured), STDERR_FILENO), 0);
    log_set_level(LOG_WARN);
    for (int i = 0; i < 3; i++)
        masters_refuse(masters, "10.0.0.1:4000", advice);
    ck_assert_ptr_nonnull(strstr(advice, "name 10.0.0.1:PORT in --master"));
    ck_assert_uint_eq(lines_with(captured, "peer=10.0.0.1 "), 1);
    for (int i = 0; i < 200; i++) {
        (void)snprintf(peer, sizeof peer, "10.0.1.%d:4000", i);
        masters_refuse(masters, peer, advice);
    }
    ck_assert_ptr_nonnull(strstr(advice, "10.0.1.199"));
    ck_assert_uint_eq(lines_with(captured, "peer=10.0."), 32);
    ck_assert_int_ge(dup2(kept_stderr, STDERR_FILENO), 0);
    (void)close(kept_stderr);
    (void)fclose(captured);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_the_first_that_tells_the_name, test_only_those_of_the_list,
        test_names_are_resolved_again,      test_a_name_that_is_not_known_at_the_start,
        test_strangers_are_told_what_to_do, NULL};
    Suite *suite = suite_create("volume masters");
    tcase_add_checked_fixture(suite_case(suite, "masters", tests), setup, teardown);
    return suite_run(suite);
}
