/*
 * The plan is made by bench.c out of the command line. Here is what two sides must agree on: how
 * keys are named (a later run reads what an earlier one wrote), and what a URL may be.
 */
#include "tools/larder/benchplan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

/* In the order of enum benchplan_op. */
static const char *const texts[BENCHPLAN_OPS] = {"put",     "get",    "get-follow", "head",
                                                 "missing", "delete", "list",       "cycle"};

const char *benchplan_op_text(enum benchplan_op op)
{
    return texts[op];
}

const char *benchplan_ops(char text[BENCHPLAN_CHOICES_MAX])
{
    size_t len = 0;
    for (int i = 0; i < BENCHPLAN_OPS; i++)
        len += (size_t)snprintf(text + len, BENCHPLAN_CHOICES_MAX - len, "%s%s", i ? "|" : "",
                                texts[i]);
    return text;
}

void benchplan_key(const struct benchplan *plan, uint64_t index, struct buf *out)
{
    /* Ten digits, so that the order of numbers is that of keys. */
    buf_addf(out, "%s%010" PRIu64, plan->prefix, index);
    /* A key among those that are there: an index must look as hard as for one that is. */
    if (plan->op == BENCHPLAN_MISSING)
        buf_adds(out, "-missing");
}

/* A slash at the end of the path is the first of the keys'. Where it fails halfway the caller
 * clears the plan all the same. */
bool benchplan_url(struct benchplan *plan, const char *url, const char **why)
{
    static const char scheme[] = "http://";
    if (strncmp(url, scheme, sizeof scheme - 1) == 0)
        url += sizeof scheme - 1;
    size_t host = strcspn(url, "/");
    size_t end = strlen(url);
    while (end > host && url[end - 1] == '/')
        end--;
    *why = "write http://HOST:PORT or http://HOST:PORT/PATH, without user, query and TLS";
    if (host == 0 || host > 255 || strpbrk(url, "?#@ \t\r\n") || strstr(url, "://") ||
        url[0] == ':')
        return false;
    *why = "out of memory";
    plan->authority = strndup(url, host);
    plan->base = strndup(url + host, end - host);
    return plan->authority && plan->base;
}

/* The plan owns its three texts, whoever put them there. */
void benchplan_clear(struct benchplan *plan)
{
    free(plan->authority);
    free(plan->base);
    free(plan->prefix);
    plan->authority = plan->base = plan->prefix = NULL;
}
