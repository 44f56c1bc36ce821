/*
 * What etcd's JSON gateway (3.4) answers to ranges, transactions and leases, as a struct. Its
 * numbers come as strings, its bytes as base64, and what is zero or empty is left out. Pure.
 */
#ifndef LARDER_COMMON_ETCD_ANSWER_H
#define LARDER_COMMON_ETCD_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct etcd_kv {
    char *key; /* with a NUL behind it, which is not of key_len; so has the value */
    size_t key_len;
    char *value;
    size_t value_len;
    int64_t create_revision, mod_revision, lease;
};

/* gRPC's codes, as far as they matter here. */
enum etcd_code {
    ETCD_INVALID = 3,
    ETCD_NOT_FOUND = 5,
    ETCD_EXHAUSTED = 8, /* no space, or too many requests */
    ETCD_OUT_OF_RANGE = 11
};

struct etcd_answer {
    int64_t revision;    /* of the store, when it was answered */
    bool succeeded;      /* of a transaction: its compares were all true */
    struct etcd_kv *kvs; /* of the range; of a transaction, of all its ranges */
    size_t count;
    bool more;         /* the range has more than were asked for */
    int64_t lease;     /* granted, or kept alive */
    int64_t ttl;       /* of the lease in seconds; 0: it is not there any more */
    int code;          /* of an error; 0: none */
    char message[160]; /* of an error, else "" */
};

/* Fills *answer; free it with etcd_answer_free() in any case. ST_PEER: this is not what etcd
 * answers. ST_NO_MEMORY. */
enum status etcd_answer_parse(struct etcd_answer *answer, const char *text, size_t len) MUST_CHECK;
void etcd_answer_free(struct etcd_answer *answer);

/* The pair of this key; NULL without it. */
const struct etcd_kv *etcd_answer_find(const struct etcd_answer *answer, const char *key);

#endif
