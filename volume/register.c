/*
 * Every volume tells every master that it is here, and where, as long as it lives. Nobody else
 * would: a volume that comes back under another address is looked for at the old one, and a master
 * with a new index knows of none.
 *
 * All of it runs on one loop (lane 0), one call at a time for each master. A master that is away
 * costs a small request every 30 s; what it answers is told to the log once an outage, not once a
 * try.
 *
 * The identity goes along, so that the master can see whether it finds this volume at the address
 * (Larder-Identity, common/PROTOCOL.md): a wrong --base would else put another server into the
 * store.
 */
#include "volume/register.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "volume/config.h"

/* One master: due -> call under way -> answered -> due … Whatever the answer, there is a next time;
 * only how soon depends on it. The wait after a failure begins with FIRST_MS and is doubled up to
 * LONGEST_MS; AGAIN_MS follows a success. */
enum { FIRST_MS = 1000, LONGEST_MS = 30000, AGAIN_MS = 60000, TIMEOUT_MS = 10000 };

struct registration {
    struct registrar *registrar;
    const char *master; /* the configuration's */
    char *url;
    struct loop_timer *timer;
    struct http_call *call; /* under way, or NULL */
    size_t sent;            /* of the base URL */
    char *elsewhere;        /* where one of several masters has pointed to, for the next try */
    unsigned wait_ms;       /* before the next try, if this one fails */
    bool known;             /* its last answer was 200 */
    bool redirected;        /* the try under way goes where another has pointed to */
};

struct registrar {
    struct http_client *client;
    char *base;     /* the body of the request: where this volume is reached */
    char field[64]; /* tells the identity */
    size_t count;
    struct registration list[];
};

static void registration_due(void *arg);
static void registration_answered(void *arg, struct http_call *call, enum status st);

/* The body, from where it stands: libcurl may ask for it in pieces. */
static size_t registration_read(void *arg, char *to, size_t max)
{
    struct registration *reg = arg;
    const char *base = reg->registrar->base;
    size_t len = strlen(base) - reg->sent;
    if (len > max)
        len = max;
    memcpy(to, base + reg->sent, len); /* NOLINT(bugprone-not-null-terminated-result): no string */
    reg->sent += len;
    return len;
}

/* The pause is that of this failure; the next one's is twice as long. */
static void try_later(struct registration *reg)
{
    loop_timer_set(reg->timer, reg->wait_ms);
    reg->wait_ms = reg->wait_ms * 2 < LONGEST_MS ? reg->wait_ms * 2 : LONGEST_MS;
}

/* The spec is copied by the client; the body is read from `base`, which stays. */
static void registration_due(void *arg)
{
    struct registration *reg = arg;
    const char *const fields[] = {"Content-Type: text/plain", reg->registrar->field, NULL};
    struct http_call_spec spec = {
        .method = "POST",
        .url = reg->elsewhere ? reg->elsewhere : reg->url,
        .fields = fields,
        .has_body = true,
        .body_length = (int64_t)strlen(reg->registrar->base),
        .read = registration_read,
        .done = registration_answered,
        .arg = reg,
        .timeout_ms = TIMEOUT_MS,
    };
    reg->sent = 0;
    reg->call = http_call_start(reg->registrar->client, &spec);
    free(reg->elsewhere);
    reg->elsewhere = NULL;
    if (!reg->call) {
        log_event(LOG_ERROR, "register", "master=%s error=\"out of memory\"", reg->master);
        try_later(reg);
    }
}

/* Why it did not work, into `text`: status_text() speaks to clients. What the master says is one
 * line for people. */
static void explain(char *text, size_t size, struct http_call *call, enum status st)
{
    size_t len = 0;
    const char *said = st ? "" : http_call_body(call, &len);
    (void)snprintf(text, size, "%s%.*s",
                   st == ST_OK             ? "the master refused: "
                   : st == ST_UNAVAILABLE  ? "no connection"
                   : st == ST_PEER_TIMEOUT ? "no answer in time"
                                           : "the connection broke off",
                   (int)(len < size ? len : size), said);
    text[strcspn(text, "\r\n")] = 0;
}

static void registration_answered(void *arg, struct http_call *call, enum status st)
{
    struct registration *reg = arg;
    int answer = st ? 0 : http_call_status(call);
    const char *location = answer == 307 ? http_call_field(call, "Location") : NULL;
    bool redirected = reg->redirected;
    reg->call = NULL;
    reg->redirected = false;
    if (location && !redirected && (reg->elsewhere = strdup(location))) {
        reg->redirected = true;
        loop_timer_set(reg->timer, 0);
        return;
    }
    bool known = answer == 200;
    if (known && !reg->known)
        log_event(LOG_INFO, "register", "master=%s base=%s result=registered", reg->master,
                  reg->registrar->base);
    /* Once an outage, not once a try. */
    if (!known && (reg->known || reg->wait_ms == FIRST_MS)) {
        char why[512];
        explain(why, sizeof why, call, st);
        log_event(
            LOG_WARN, "register",
            "master=%s base=%s status=%d error=\"%s\" advice=\"trying again; is the master up, "
            "and does it reach this volume under that address?\"",
            reg->master, reg->registrar->base, answer, why);
    }
    reg->known = known;
    if (known) {
        reg->wait_ms = FIRST_MS;
        loop_timer_set(reg->timer, AGAIN_MS);
    } else {
        try_later(reg);
    }
}

/* Counted before anything can fail, so registrar_free() takes what there is. */
static enum status add_master(struct registrar *registrar, struct loop *loop, const char *master)
{
    struct registration *reg = &registrar->list[registrar->count++];
    reg->registrar = registrar;
    reg->master = master;
    reg->wait_ms = FIRST_MS;
    if (asprintf(&reg->url, "http://%s/admin/add-volume", master) < 0) {
        reg->url = NULL;
        return ST_NO_MEMORY;
    }
    reg->timer = loop_timer_new(loop, registration_due, reg);
    if (!reg->timer)
        return ST_NO_MEMORY;
    loop_timer_set(reg->timer, 0);
    return ST_OK;
}

enum status registrar_new(struct registrar **registrar, const struct registrar_options *options)
{
    const struct config *config = options->config;
    size_t masters = config->masters.count;
    struct registrar *new = calloc(1, sizeof *new + masters * sizeof new->list[0]);
    if (!new)
        return ST_NO_MEMORY;
    (void)snprintf(new->field, sizeof new->field, "Larder-Identity: %s", options->id);
    enum status st = ST_NO_MEMORY;
    new->base = config_base(config, options->port);
    new->client = http_client_new(options->loop, 1);
    if (new->base &&new->client)
        st = ST_OK;
    for (size_t i = 0; i < masters && !st; i++)
        st = add_master(new, options->loop, config->masters.items[i]);
    if (st) {
        registrar_free(new);
        return st;
    }
    *registrar = new;
    return ST_OK;
}

/* Calls are cancelled before their client goes; a cancelled one is never answered. */
void registrar_free(struct registrar *registrar)
{
    if (!registrar)
        return;
    for (size_t i = 0; i < registrar->count; i++) {
        struct registration *reg = &registrar->list[i];
        if (reg->call)
            http_call_cancel(reg->call);
        loop_timer_free(reg->timer);
        free(reg->url);
        free(reg->elsewhere);
    }
    http_client_free(registrar->client);
    free(registrar->base);
    free(registrar);
}
