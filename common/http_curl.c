/*
 * libcurl does not let its functions be called from inside its callbacks (adding, removing), and
 * frees nothing there. So `curl->inside` is set while libcurl runs, and what is asked for
 * meanwhile waits in `curl->later` for the loop's next turn.
 *
 * The life of a call: WAITING (with an easy handle, not in the multi handle; only where it was
 * started from inside) → RUNNING → told by reap(), and freed; or cancelled: freed at once, and from
 * inside CANCELLED first, which its callbacks answer with an abort, and freed on the next turn.
 *
 * Who drives libcurl: it says which sockets it wants watched (socket_wanted) and when it wants to
 * be called at the latest (timer_wanted); the loop calls run() for both. Ends are found only there,
 * in reap(), which runs when libcurl is not on the stack: so an owner may start and cancel whatever
 * he likes while he is told.
 */
#include "common/http_curl.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

enum {
    UPLOAD_BUFFER = 64 * 1024,    /* what libcurl asks `read` for at once */
    DOWNLOAD_BUFFER = 128 * 1024, /* what it reads from a socket at once, */
    ANSWER_BUFFER = 16 * 1024,    /* or where it sends a body, and the answer is short */
    IDLE_HANDLES = 128,           /* easy handles kept for reuse, each with those buffers freed */
    IDLE_SECONDS = 60             /* less than a server's idle timeout, so both do not race */
};

enum call_stage {
    CALL_WAITING,  /* not handed to libcurl yet */
    CALL_RUNNING,  /* in the multi handle */
    CALL_CANCELLED /* nobody is interested any more; to be freed outside of libcurl */
};

struct http_curl_call {
    struct http_curl *curl;
    CURL *easy;
    struct curl_slist *fields;
    enum call_stage stage;
    size_t (*read)(void *arg, char *to, size_t max);
    bool (*write)(void *arg, const char *data, size_t len);
    void *arg;
    void (*over)(void *arg, enum status st);
    bool pause_after_write;
    bool held;   /* a piece was taken, and the next has to wait for http_curl_resume() */
    bool paused; /* libcurl was told to wait, one way or the other */
    bool queued; /* in curl->later */
    struct http_curl_call *next_later;
};

struct http_curl {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *timer; /* libcurl's */
    struct loop_timer *turn;  /* for `later` */
    struct http_curl_call *later;
    bool inside;
    CURL *idle[IDLE_HANDLES];
    unsigned idle_count;
};

/* Not safe beside other threads, so before there are any. */
bool http_curl_global_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

/* --- the request --- */

/* "Name: value" lines, and none of the headers that libcurl would add by itself. */
static struct curl_slist *make_fields(const char *const *fields)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; list && fields && fields[i]; i++) {
        struct curl_slist *more = curl_slist_append(list, fields[i]);
        if (!more)
            curl_slist_free_all(list);
        list = more;
    }
    return list;
}

struct setting {
    CURL *easy;
    CURLcode bad;
};

static void set_text(struct setting *of, CURLoption option, const char *text)
{
    of->bad = of->bad ? of->bad : curl_easy_setopt(of->easy, option, text);
}

static void set_number(struct setting *of, CURLoption option, long number)
{
    of->bad = of->bad ? of->bad : curl_easy_setopt(of->easy, option, number);
}

/* All that a request says but its fields and functions. PROTOCOLS: nothing but HTTP, whatever a
 * URL from outside says. PATH_AS_IS: keys have `..` and `//` in them. NOSIGNAL: the resolver would
 * use SIGALRM. QUICK_EXIT: a timeout does not wait for the resolver. UPLOAD alone would make it a
 * PUT, so the method is said as well. TIMEOUT is for all of the call, 0 is none; who streams sets
 * `stall_ms` instead, which has seconds for its unit and 1 byte a second for its bound. False: no
 * memory. */
static bool set_request(CURL *easy, const struct http_call_spec *spec)
{
    struct setting of = {easy, CURLE_OK};
    set_text(&of, CURLOPT_URL, spec->url);
    set_text(&of, CURLOPT_PROTOCOLS_STR, "http");
    set_text(&of, CURLOPT_PROXY, "");
    set_number(&of, CURLOPT_PATH_AS_IS, 1);
    set_number(&of, CURLOPT_NOSIGNAL, 1);
    set_number(&of, CURLOPT_QUICK_EXIT, 1);
    set_number(&of, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    set_number(&of, CURLOPT_MAXAGE_CONN, IDLE_SECONDS);
    set_number(&of, CURLOPT_BUFFERSIZE, spec->has_body ? ANSWER_BUFFER : DOWNLOAD_BUFFER);
    if (strcmp(spec->method, "HEAD") == 0)
        set_number(&of, CURLOPT_NOBODY, 1);
    else if (spec->has_body) {
        set_number(&of, CURLOPT_UPLOAD, 1);
        set_number(&of, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
        curl_off_t size = spec->body_length;
        of.bad = of.bad ? of.bad : curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, size);
    }
    set_text(&of, CURLOPT_CUSTOMREQUEST, spec->method);
    set_number(&of, CURLOPT_CONNECTTIMEOUT_MS,
               spec->connect_timeout_ms ? spec->connect_timeout_ms : 1000);
    set_number(&of, CURLOPT_TIMEOUT_MS, spec->timeout_ms);
    if (spec->stall_ms) {
        set_number(&of, CURLOPT_LOW_SPEED_LIMIT, 1);
        set_number(&of, CURLOPT_LOW_SPEED_TIME, (spec->stall_ms + 999) / 1000);
    }
    return !of.bad;
}

/* What the owners decide upon: whether anybody is there at all (UNAVAILABLE: mark it down, and try
 * another), is there and silent (PEER_TIMEOUT), or has broken off in the midst (PEER: proves
 * nothing). A timeout before there was a connection is the first; on a kept one connecting took no
 * time, but something was sent. CLOSED is our own doing. */
static enum status status_of_curl(CURL *easy, CURLcode code)
{
    curl_off_t connected = 0;
    long sent = 0;
    switch (code) {
    case CURLE_OK:
        return ST_OK;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return ST_UNAVAILABLE;
    case CURLE_OPERATION_TIMEDOUT:
        (void)curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
        (void)curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent);
        return connected || sent ? ST_PEER_TIMEOUT : ST_UNAVAILABLE;
    case CURLE_OUT_OF_MEMORY:
        return ST_NO_MEMORY;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return ST_BAD_REQUEST;
    case CURLE_ABORTED_BY_CALLBACK:
    case CURLE_WRITE_ERROR:
        return ST_CLOSED;
    default:
        return ST_PEER;
    }
}

/* --- asynchronous: the loop on one side, libcurl on the other --- */

/* libcurl wants more of the body. A cancelled call is not asked any more: its owner is gone. */
static size_t call_read(char *to, size_t size, size_t count, void *arg)
{
    struct http_curl_call *call = arg;
    if (call->stage == CALL_CANCELLED)
        return CURL_READFUNC_ABORT;
    size_t n = call->read(call->arg, to, size * count);
    if (n == HTTP_READ_PAUSE) {
        call->paused = true;
        return CURL_READFUNC_PAUSE;
    }
    return n == HTTP_READ_ABORT ? CURL_READFUNC_ABORT : n;
}

/* libcurl has bytes of the answer. With pause_after_write each piece has to be let in by
 * http_curl_resume(): the owner passes it on first, so memory has one piece at a time. */
static size_t call_write(char *data, size_t size, size_t count, void *arg)
{
    struct http_curl_call *call = arg;
    if (call->stage == CALL_CANCELLED)
        return 0;
    if (call->held) {
        call->paused = true;
        return CURL_WRITEFUNC_PAUSE; /* libcurl keeps the data and brings them again */
    }
    call->held = call->pause_after_write;
    return call->write(call->arg, data, size * count) ? size * count : 0; /* 0: give up */
}

/* Out of `later`, which is searched, as it is short. */
static void call_unlink(struct http_curl_call *call)
{
    if (!call->queued)
        return;
    struct http_curl_call **at = &call->curl->later;
    while (*at != call)
        at = &(*at)->next_later;
    *at = call->next_later;
}

/* Outside of libcurl only. Easy handles are used again, which costs less than to make them; the
 * reset takes all options of this call from them. Connections are the multi handle's, and stay with
 * it. */
static void call_free(struct http_curl_call *call)
{
    struct http_curl *curl = call->curl;
    call_unlink(call);
    if (call->stage != CALL_WAITING)
        (void)curl_multi_remove_handle(curl->multi, call->easy);
    if (curl->idle_count < IDLE_HANDLES) {
        curl_easy_reset(call->easy);
        curl->idle[curl->idle_count++] = call->easy;
    } else {
        curl_easy_cleanup(call->easy);
    }
    curl_slist_free_all(call->fields);
    free(call);
}

/* Tells the owners of the calls that have ended. They may start and cancel others meanwhile. */
static void reap(struct http_curl *curl)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(curl->multi, &left))) {
        char *private = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        struct http_curl_call *call = (struct http_curl_call *)(void *)private;
        enum status st = status_of_curl(call->easy, message->data.result);
        if (call->stage != CALL_CANCELLED)
            call->over(call->arg, st);
        call_free(call);
    }
}

/* Lets libcurl work for a socket, or for its clock, then tells of what has ended by it. */
static void run(struct http_curl *curl, curl_socket_t fd, int what)
{
    int running;
    curl->inside = true;
    (void)curl_multi_socket_action(curl->multi, fd, what, &running);
    curl->inside = false;
    reap(curl);
}

static void timer_due(void *arg)
{
    run(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* From inside libcurl, so nothing is called here: a time of 0 comes on the loop's next turn. */
static int timer_wanted(CURLM *multi UNUSED, long ms, void *arg)
{
    struct http_curl *curl = arg;
    if (ms < 0)
        loop_timer_clear(curl->timer);
    else
        loop_timer_set(curl->timer, (uint64_t)ms);
    return 0;
}

/* A socket of libcurl's. */
struct socket {
    struct http_curl *curl;
    curl_socket_t fd;
    struct loop_watch *watch;
};

static void socket_ready(void *arg, bool readable, bool writable)
{
    struct socket *of = arg;
    run(of->curl, of->fd, (readable ? CURL_CSELECT_IN : 0) | (writable ? CURL_CSELECT_OUT : 0));
}

/* From inside libcurl. What is watched for changes with the state of a transfer; `known` is what
 * was assigned to the socket, ours from its first mention to CURL_POLL_REMOVE. A failure makes
 * libcurl end what is under way. */
static int socket_wanted(CURL *easy UNUSED, curl_socket_t fd, int what, void *arg, void *known)
{
    struct http_curl *curl = arg;
    struct socket *of = known;
    if (what == CURL_POLL_REMOVE) {
        if (of)
            loop_watch_free(of->watch);
        free(of);
        (void)curl_multi_assign(curl->multi, fd, NULL);
        return 0;
    }
    if (!of) {
        of = calloc(1, sizeof *of);
        if (!of)
            return -1;
        of->curl = curl;
        of->fd = fd;
        (void)curl_multi_assign(curl->multi, fd, of);
    }
    loop_watch_free(of->watch);
    of->watch =
        loop_watch_new(curl->loop, fd, what & CURL_POLL_IN, what & CURL_POLL_OUT, socket_ready, of);
    return of->watch ? 0 : -1;
}

/* Puts a call on the list for the loop's next turn. */
static void do_later(struct http_curl_call *call)
{
    if (call->queued)
        return;
    call->queued = true;
    call->next_later = call->curl->later;
    if (!call->curl->later)
        loop_timer_set(call->curl->turn, 0);
    call->curl->later = call;
}

/* Hands it to libcurl. Where that fails, libcurl does not know it. */
static bool call_launch(struct http_curl_call *call)
{
    bool known = curl_multi_add_handle(call->curl->multi, call->easy) == CURLM_OK;
    call->stage = known ? CALL_RUNNING : CALL_WAITING;
    return known;
}

/* One at a time, since what runs here may add to the list, and call_free() take away. Unpausing is
 * the one call into libcurl here that runs callbacks; what ends by it is reaped at the end,
 * outside. */
static void turn_due(void *arg)
{
    struct http_curl *curl = arg;
    struct http_curl_call *call;
    while ((call = curl->later)) {
        curl->later = call->next_later;
        call->queued = false;
        if (call->stage == CALL_CANCELLED) {
            call_free(call);
        } else if (call->stage == CALL_WAITING) {
            if (call_launch(call))
                continue;
            call->over(call->arg, ST_NO_MEMORY); /* he has the call by now */
            call_free(call);
        } else if (call->paused) {
            call->paused = false;
            curl->inside = true; /* it may call `read` or `write` at once */
            (void)curl_easy_pause(call->easy, CURLPAUSE_CONT);
            curl->inside = false;
        }
    }
    reap(curl);
}

/* No pipelining and no multiplexing: a slow answer would hold up those behind it. */
struct http_curl *http_curl_new(struct loop *loop, unsigned max_idle)
{
    struct http_curl *curl = calloc(1, sizeof *curl);
    if (!curl)
        return NULL;
    curl->loop = loop;
    curl->multi = curl_multi_init();
    curl->timer = loop_timer_new(loop, timer_due, curl);
    curl->turn = loop_timer_new(loop, turn_due, curl);
    if (!curl->multi || !curl->timer || !curl->turn) {
        http_curl_free(curl);
        return NULL;
    }
    (void)curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    (void)curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl);
    (void)curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    (void)curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl);
    (void)curl_multi_setopt(curl->multi, CURLMOPT_MAXCONNECTS, (long)max_idle);
    (void)curl_multi_setopt(curl->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return curl;
}

/* http_client.c has cancelled all calls before, so there are only those that wait to be freed. The
 * timers last, as libcurl sets and clears them up to its end. */
void http_curl_free(struct http_curl *curl)
{
    if (!curl)
        return;
    if (curl->later)
        turn_due(curl);
    while (curl->idle_count)
        curl_easy_cleanup(curl->idle[--curl->idle_count]);
    if (curl->multi)
        (void)curl_multi_cleanup(curl->multi); /* closes connections: socket_wanted() is called */
    loop_timer_free(curl->timer);
    loop_timer_free(curl->turn);
    free(curl);
}

static struct http_curl_call *call_new(struct http_curl *curl)
{
    struct http_curl_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->easy = curl->idle_count ? curl->idle[--curl->idle_count] : curl_easy_init();
    if (!call->easy) {
        free(call);
        return NULL;
    }
    call->curl = curl;
    return call;
}

/* Never calls back before it returns: libcurl only takes note of a handle that is added, and asks
 * for its timer. */
struct http_curl_call *http_curl_start(struct http_curl *curl, const struct http_call_spec *spec,
                                       void (*over)(void *arg, enum status st))
{
    struct http_curl_call *call = call_new(curl);
    if (!call)
        return NULL;
    call->over = over;
    call->pause_after_write = spec->pause_after_write;
    call->read = spec->read;
    call->write = spec->write;
    call->arg = spec->arg;
    call->fields = make_fields(spec->fields);
    CURL *easy = call->easy;
    if (!call->fields || !set_request(easy, spec)) {
        call_free(call);
        return NULL;
    }
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->fields);
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *)call);
    (void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, call_read);
    (void)curl_easy_setopt(easy, CURLOPT_READDATA, call);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, call_write);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    if (curl->inside) {
        do_later(call);
    } else if (!call_launch(call)) {
        call_free(call);
        return NULL;
    }
    return call;
}

/* On the next turn, as the owner may be inside of his own callback just now. */
void http_curl_resume(struct http_curl_call *call)
{
    call->held = false;
    if (call->paused)
        do_later(call);
}

void http_curl_cancel(struct http_curl_call *call)
{
    /* One that libcurl has not seen yet needs no care. */
    if (!call->curl->inside || call->stage != CALL_RUNNING) {
        call_free(call);
        return;
    }
    call->stage = CALL_CANCELLED;
    do_later(call);
}

/* --- the answer; all of it is libcurl's, and gone with the call --- */

int http_curl_status(const struct http_curl_call *call)
{
    long status = 0;
    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

/* CURLH_HEADER: not of a 100 that came before it. */
const char *http_curl_field(const struct http_curl_call *call, const char *name)
{
    struct curl_header *header;
    CURLHcode bad = curl_easy_header(call->easy, name, 0, CURLH_HEADER, -1, &header);
    return bad == CURLHE_OK ? header->value : NULL;
}

void http_curl_each_field(const struct http_curl_call *call,
                          void (*fn)(void *arg, const char *name, const char *value), void *arg)
{
    struct curl_header *header = NULL;
    while ((header = curl_easy_nextheader(call->easy, CURLH_HEADER, -1, header)))
        fn(arg, header->name, header->value);
}

/* NULL where there was no connection. */
const char *http_curl_reached(const struct http_curl_call *call, const char **url)
{
    char *effective = NULL, *address = NULL;
    (void)curl_easy_getinfo(call->easy, CURLINFO_EFFECTIVE_URL, &effective);
    (void)curl_easy_getinfo(call->easy, CURLINFO_PRIMARY_IP, &address);
    *url = effective;
    return effective && address && *address ? address : NULL;
}
