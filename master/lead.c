/*
 * The thread: grant or keep alive the lease → look who writes → campaign where nobody does and our
 * index has the whole log → begin the term. Whatever goes wrong in a term ends with a new lease.
 */
#include "master/lead.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/thread.h"
#include "master/etcd.h"
#include "master/index.h"
#include "master/oplog.h"

enum {
    LOOK_MS = 250,        /* between two looks */
    SOON_MS = 20,         /* … while our own term is about to begin */
    REVOKE_MS = 500,      /* patience for giving a lease back, */
    LAST_MS = 1500,       /* and when nobody waits for the next one */
    STALE_LOOKS_MS = 3000 /* who writes is not known any more after that */
};

/* The thread alone writes what the lock guards, so it reads it without the lock. Others read it
 * under the lock. */
struct lead {
    struct lead_options options;
    struct etcd *etcd;
    struct thread thread; /* its lock guards what follows */
    bool poke;
    int64_t lease;                 /* 0: none */
    uint64_t until_ms;             /* it cannot have expired before */
    char writer[LEAD_ADDRESS_MAX]; /* "": none */
    bool ours;                     /* the writer is us */
    uint64_t head, looked_ms;

    /* the thread's own: */
    uint64_t kept_ms; /* when the last keepalive was sent */
    int64_t term;     /* the create revision of our key at the last look; 0: we do not hold it */
    int64_t begun;    /* the term that has begun, and was not ended by us; 0: none */
    bool silent;      /* etcd did not answer; it was said */
    bool refused;     /* it answered, and granted nothing; it was said */
};

/* --- shared --- */

/* By the clock, not by what the thread has come to do: it may hang in a request, or this
 * process may have been frozen a moment ago. */
bool lead_is_writer(struct lead *lead)
{
    (void)pthread_mutex_lock(&lead->thread.lock);
    bool valid = lead->lease && loop_now_ms() < lead->until_ms;
    (void)pthread_mutex_unlock(&lead->thread.lock);
    return valid && index_term(lead->options.index) != 0;
}

/* The lease belongs to the term only while both are valid; an append that goes out with the
 * wrong one is refused by etcd, so there is no harm in the moment between this and that. */
bool lead_claim(struct lead *lead, uint64_t term, int64_t *lease)
{
    (void)pthread_mutex_lock(&lead->thread.lock);
    *lease = lead->lease;
    bool valid = lead->lease && loop_now_ms() < lead->until_ms && !lead->thread.ending;
    (void)pthread_mutex_unlock(&lead->thread.lock);
    return valid && index_term(lead->options.index) == term;
}

/* Without a look at the clock: what is put under a lease that has expired is refused by etcd. */
int64_t lead_lease(struct lead *lead)
{
    (void)pthread_mutex_lock(&lead->thread.lock);
    int64_t lease = lead->lease;
    (void)pthread_mutex_unlock(&lead->thread.lock);
    return lease;
}

/* With the lock held. What was seen long ago may lead clients to a master that is gone: better
 * they wait and ask again. */
static bool fresh(const struct lead *lead)
{
    return lead->looked_ms && loop_now_ms() - lead->looked_ms < STALE_LOOKS_MS;
}

/* Not ourselves: who asks is not the writer at this moment, so to name us would send a client
 * in a circle. That is so while our own term is about to begin, and while the key is there that we
 * had before a restart, or under a lease that could not be given back. */
bool lead_other(struct lead *lead, char address[LEAD_ADDRESS_MAX])
{
    (void)pthread_mutex_lock(&lead->thread.lock);
    bool known = lead->writer[0] && strcmp(lead->writer, lead->options.address) != 0 && fresh(lead);
    if (known)
        memcpy(address, lead->writer, LEAD_ADDRESS_MAX);
    (void)pthread_mutex_unlock(&lead->thread.lock);
    return known;
}

/* Any number of masters could trim at a time (trim.c says why); one is enough, but there must be
 * one. At etcd's quota no lease is granted and no writer elected: if nobody trimmed until there is
 * one, a log that fills the quota would stay. */
bool lead_may_trim(struct lead *lead)
{
    (void)pthread_mutex_lock(&lead->thread.lock);
    bool nobody = !lead->writer[0] && fresh(lead);
    (void)pthread_mutex_unlock(&lead->thread.lock);
    return lead_is_writer(lead) || (nobody && lead->options.eligible(lead->options.arg));
}

bool lead_head(struct lead *lead, uint64_t *head)
{
    (void)pthread_mutex_lock(&lead->thread.lock);
    *head = lead->head;
    bool known = fresh(lead);
    (void)pthread_mutex_unlock(&lead->thread.lock);
    return known;
}

void lead_poke(struct lead *lead)
{
    (void)pthread_mutex_lock(&lead->thread.lock);
    lead->poke = true;
    (void)pthread_cond_signal(&lead->thread.changed);
    (void)pthread_mutex_unlock(&lead->thread.lock);
}

/* --- the lease --- */

/* As it was asked for; etcd may have granted a longer one, but never a shorter. */
static uint64_t ttl_ms(const struct lead *lead)
{
    return (uint64_t)lead->options.ttl_s * 1000;
}

/* Once an outage, not once a try. */
static void complain(struct lead *lead, enum status st, const struct etcd_answer *answer)
{
    if (st && thread_is_ending(&lead->thread))
        return;
    if (st && !lead->silent)
        log_event(LOG_WARN, "lead", "event=etcd-does-not-answer error=\"%s\"",
                  answer->message[0] ? answer->message : status_text(st));
    else if (!st && lead->silent)
        log_event(LOG_INFO, "lead", "event=etcd-answers");
    lead->silent = st != ST_OK;
}

/* The same for what it refuses while it answers everything else: at its quota, what would make it
 * larger. Other failures are complain()'s: looks, which follow, meet them as well. */
static void complain_of_refusal(struct lead *lead, enum status st, const struct etcd_answer *answer)
{
    bool refused = st == ST_NO_SPACE || (st && lead->refused);
    if (refused && !lead->refused)
        log_event(LOG_WARN, "lead",
                  "event=refused-by-etcd error=\"%s\" doing=\"reads only, while there is no "
                  "writer\" advice=\"make room in etcd: compact, defrag, alarm disarm\"",
                  answer->message[0] ? answer->message : status_text(st));
    lead->refused = refused;
}

/* etcd's clock and ours may run at slightly different speeds, so a tenth is left off. */
static void set_lease(struct lead *lead, int64_t lease, uint64_t sent_ms, int64_t ttl_s)
{
    (void)pthread_mutex_lock(&lead->thread.lock);
    lead->lease = lease;
    lead->until_ms = sent_ms + (uint64_t)ttl_s * 900;
    (void)pthread_mutex_unlock(&lead->thread.lock);
    lead->kept_ms = sent_ms;
}

/* A grant whose answer is lost leaves a lease that nobody uses, and that expires. */
static void grant(struct lead *lead)
{
    struct etcd_answer answer;
    uint64_t sent_ms = loop_now_ms();
    enum status st = etcd_grant(lead->etcd, lead->options.ttl_s, sent_ms + ttl_ms(lead), &answer);
    complain_of_refusal(lead, st, &answer);
    if (!st && answer.lease && answer.ttl > 0)
        set_lease(lead, answer.lease, sent_ms, answer.ttl);
    etcd_answer_free(&answer);
}

/* Everything that rests on the lease is over. */
static void drop_lease(struct lead *lead, const char *why)
{
    struct etcd_answer answer;
    (void)pthread_mutex_lock(&lead->thread.lock);
    int64_t lease = lead->lease;
    lead->lease = 0;
    if (lead->ours)
        lead->writer[0] = 0;
    lead->ours = false;
    bool ending = lead->thread.ending;
    (void)pthread_mutex_unlock(&lead->thread.lock);
    if (lead->begun) {
        index_end_term(lead->options.index, (uint64_t)lead->begun);
        log_event(ending ? LOG_INFO : LOG_WARN, "lead",
                  "event=term-over term=%" PRId64 " reason=\"%s\"", lead->begun, why);
    }
    lead->begun = 0;
    lead->term = 0;
    /* Not done in time is fine, too: it expires. */
    uint64_t until_ms = loop_now_ms() + (ending ? LAST_MS : REVOKE_MS);
    if (etcd_revoke(lead->etcd, lease, until_ms, &answer) == ST_OK)
        log_event(LOG_DEBUG, "lead", "event=lease-revoked");
    etcd_answer_free(&answer);
}

/* The deadline is the end of the lease: an answer after that would be of no use. */
static void keep_alive(struct lead *lead)
{
    struct etcd_answer answer;
    uint64_t sent_ms = loop_now_ms();
    if (sent_ms >= lead->until_ms) {
        drop_lease(lead, "the lease may have expired");
        return;
    }
    /* Often enough that three in a row may be lost. */
    if (sent_ms - lead->kept_ms < ttl_ms(lead) / 4)
        return;
    enum status st = etcd_keep_alive(lead->etcd, lead->lease, lead->until_ms, &answer);
    complain(lead, st, &answer);
    if (!st)
        set_lease(lead, lead->lease, sent_ms, answer.ttl);
    else if (st == ST_NOT_FOUND)
        drop_lease(lead, "etcd has let the lease expire");
    etcd_answer_free(&answer);
}

/* --- who writes --- */

/* Nobody writes, so the head stands still: whoever has all of the log may become the writer. */
static void campaign(struct lead *lead)
{
    const struct oplog_keys *keys = lead->options.keys;
    const char *address = lead->options.address;
    const struct etcd_compare compare = {ETCD_CREATED, keys->writer, NULL, 0};
    const struct etcd_op put = {.action = ETCD_PUT,
                                .key = keys->writer,
                                .value = address,
                                .value_len = strlen(address),
                                .lease = lead->lease};
    const struct etcd_txn txn = {&compare, 1, &put, 1, NULL, 0};
    struct etcd_answer answer;
    enum status st = etcd_txn(lead->etcd, &txn, loop_now_ms() + ttl_ms(lead), &answer);
    complain_of_refusal(lead, st, &answer);
    if (st == ST_NOT_FOUND)
        drop_lease(lead, "etcd has let the lease expire");
    etcd_answer_free(&answer);
    /* What came of it is seen at the next look: at once, but where it was certainly not done, and
     * asked for again and again it would be a load. */
    if (!st || st == ST_UNKNOWN)
        lead_poke(lead);
}

/* The key is ours by its lease, not by its value: a campaign whose answer was lost is seen
 * here, and so is a master that has taken our address. */
static void note_writer(struct lead *lead, const struct etcd_kv *kv, uint64_t head)
{
    (void)pthread_mutex_lock(&lead->thread.lock);
    lead->head = head;
    lead->looked_ms = loop_now_ms();
    lead->ours = kv && lead->lease && kv->lease == lead->lease;
    lead->writer[0] = 0;
    if (kv)
        (void)snprintf(lead->writer, sizeof lead->writer, "%s", kv->value);
    (void)pthread_mutex_unlock(&lead->thread.lock);
    lead->term = kv && lead->ours ? kv->create_revision : 0;
}

/* The key is ours, nobody else can append. With all of the log applied the term begins. */
static void begin_term(struct lead *lead)
{
    struct index *index = lead->options.index;
    if (index_sequence(index) != lead->head)
        return;
    lead->begun = lead->term;
    index_begin_term(index, (uint64_t)lead->term);
    log_event(LOG_INFO, "lead", "event=term-begun term=%" PRId64 " head=%" PRIu64, lead->term,
              lead->head);
}

/* One step from what was seen. `writer`: somebody has the key. */
static void take_role(struct lead *lead, bool writer)
{
    struct index *index = lead->options.index;
    /* An index that lacks entries would keep everybody waiting, if it got the key, until it has
     * them. Nobody writes meanwhile, so whoever has all of them is there sooner. */
    bool whole = index_sequence(index) == lead->head;
    if (lead->begun && lead->begun != lead->term)
        drop_lease(lead, "the key of the writer is gone");
    else if (lead->begun && index_term(index) != (uint64_t)lead->begun)
        drop_lease(lead, "the term was given up");
    else if (lead->term && !lead->begun)
        begin_term(lead);
    else if (!writer && whole && lead->lease && lead->options.eligible(lead->options.arg))
        campaign(lead);
}

/* Not even our lease means anything there: it may be one of then. */
static void note_set_back(struct lead *lead, uint64_t head)
{
    lead->options.set_back(lead->options.arg, head);
    if (lead->begun)
        drop_lease(lead, "etcd was set back");
}

/* Also without a lease: clients want to know who writes, and readers how far the log is. */
static void look(struct lead *lead)
{
    const struct oplog_keys *keys = lead->options.keys;
    struct etcd_answer answer;
    uint64_t head;
    /* What is applied was in the log before, so a head that is read now cannot be lower. */
    uint64_t applied = index_sequence(lead->options.index);
    enum status st = oplog_look(keys, lead->etcd, loop_now_ms() + ttl_ms(lead) / 2, &answer, &head);
    const struct etcd_kv *kv = etcd_answer_find(&answer, keys->writer);
    complain(lead, st == ST_NOT_FOUND || st == ST_CONFLICT ? ST_OK : st, &answer);
    if (!st && head < applied) {
        note_set_back(lead, head);
    } else if (!st) {
        note_writer(lead, kv, head);
        if (kv && lead->lease)
            lead->refused = false; /* there is nothing more to ask for */
        lead->options.head(lead->options.arg, head);
        take_role(lead, kv != NULL);
    }
    etcd_answer_free(&answer);
}

/* --- the thread --- */

/* True where it is to end. Ends early where somebody has poked: a term was ended, or a campaign may
 * have been won. */
static bool wait_ms(struct lead *lead, unsigned ms)
{
    const struct timespec until = thread_time(ms);
    (void)pthread_mutex_lock(&lead->thread.lock);
    while (!lead->thread.ending && !lead->poke &&
           thread_wait(&lead->thread.changed, &lead->thread.lock, &until))
        continue;
    lead->poke = false;
    bool ending = lead->thread.ending;
    (void)pthread_mutex_unlock(&lead->thread.lock);
    return ending;
}

/* Grants and keepalives come before the look, so that what the look finds is judged by a lease
 * that is known to be alive. */
static void *run(void *arg)
{
    struct lead *lead = arg;
    bool soon = false;
    while (!wait_ms(lead, soon ? SOON_MS : LOOK_MS)) {
        if (lead->lease)
            keep_alive(lead);
        else
            grant(lead);
        look(lead);
        soon = lead->term && !lead->begun;
    }
    etcd_resume(lead->etcd); /* others need not wait for the lease to expire */
    if (lead->lease)
        drop_lease(lead, "this master stops");
    return NULL;
}

/* Everything is set before the thread starts, which calls back at once. */
struct lead *lead_new(const struct lead_options *options)
{
    struct lead *lead = calloc(1, sizeof *lead);
    if (!lead)
        return NULL;
    lead->options = *options;
    lead->poke = true; /* no wait before the first look */
    lead->etcd = etcd_new(options->endpoints, options->endpoint_count);
    if (lead->etcd && thread_begin(&lead->thread, run, lead))
        return lead;
    etcd_free(lead->etcd);
    free(lead);
    return NULL;
}

void lead_stop(struct lead *lead)
{
    if (!lead)
        return;
    etcd_end_thread(lead->etcd, &lead->thread);
}

void lead_free(struct lead *lead)
{
    if (!lead)
        return;
    lead_stop(lead);
    etcd_free(lead->etcd);
    thread_release(&lead->thread);
    free(lead);
}
