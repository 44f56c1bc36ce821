/* What `larder bench` was asked to do; set once, then read by all threads. */
#ifndef LARDER_TOOLS_BENCHPLAN_H
#define LARDER_TOOLS_BENCHPLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "tools/larder/benchsize.h"

struct buf;

/* In the order of the texts of benchplan_op_text(), and of --help. */
enum benchplan_op {
    BENCHPLAN_PUT,
    BENCHPLAN_GET,        /* the first answer: a redirect, or the value from a plain server */
    BENCHPLAN_GET_FOLLOW, /* and the value behind it */
    BENCHPLAN_HEAD,
    BENCHPLAN_MISSING, /* GET of a key that is not there */
    BENCHPLAN_DELETE,
    BENCHPLAN_LIST,
    BENCHPLAN_CYCLE, /* put, get-follow and delete of a key, as one operation */
    BENCHPLAN_OPS
};

/* How far what was read is compared. */
enum benchplan_check {
    BENCHPLAN_CHECK_SAMPLE, /* all bytes; the MD5 and lists of one answer in 64 */
    BENCHPLAN_CHECK_ALL,
    BENCHPLAN_CHECK_NONE /* the status alone; bodies are not even looked at */
};

/* Bytes: a key may have twice as many (KEY_MAX), so number and suffix have room behind a prefix. */
enum { BENCHPLAN_PREFIX_MAX = 512, BENCHPLAN_CHOICES_MAX = 128 };

struct benchplan {
    enum benchplan_op op;
    char *authority; /* "host:port", as redirects to it would have it */
    char *base;      /* the path of the URL, without '/' at its end; "" mostly */
    char *prefix;    /* of all keys, raw; begins with '/' */
    struct benchsize size;
    uint64_t keys;  /* how many there are: numbers 0 to keys-1; 0: no bound (sequential writes) */
    uint64_t count; /* operations; 0: no bound */
    uint64_t duration_ns; /* 0: no bound */
    uint64_t rate;        /* operations a second, of all clients; 0: closed loop */
    uint64_t timeout_ns;  /* of an operation, from its true beginning on */
    uint64_t seed;        /* of values, and of the order of keys where it is random */
    unsigned clients, threads;
    unsigned page; /* keys of a list */
    bool random;   /* the order of keys */
    enum benchplan_check check;
};

/* "put", "get-follow", … */
const char *benchplan_op_text(enum benchplan_op op);

/* All of them with '|' between, as option tables have choices. */
const char *benchplan_ops(char text[BENCHPLAN_CHOICES_MAX]);

/* Appends key number `index` of this plan, raw. */
void benchplan_key(const struct benchplan *plan, uint64_t index, struct buf *out);

/* Splits "http://host[:port][/path]" (the scheme may be left off) into allocated texts. False where
 * it is none; *why (a constant) says what is wrong with it. */
bool benchplan_url(struct benchplan *plan, const char *url, const char **why) MUST_CHECK;

void benchplan_clear(struct benchplan *plan);

#endif
