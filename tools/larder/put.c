/*
 * larder put: a file, or standard input, becomes the value of a key.
 *
 * A file is read twice, for its MD5 and for the request, so that the master can refuse what was
 * changed between or on the way; standard input can be read once only, and is sent without a
 * length. put_open() decides which, put_read() then runs within client_send() whenever the
 * connection takes more.
 *
 * Another master may be tried only before anything was read (client_send() sees to it), since a
 * pipe cannot be read again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/key.h"
#include "common/md5.h"
#include "common/options.h"
#include "tools/larder/arguments.h"
#include "tools/larder/client.h"
#include "tools/larder/commands.h"
#include "tools/larder/say.h"

/* No bound on the whole: a value may be large. The answer comes after all copies are synced, during
 * which nothing moves on this connection: hence minutes. */
enum { STALL_MS = 300 * 1000, PIECE = 256 * 1024 };

struct put {
    const char *file;      /* for messages */
    int fd;                /* -1: not open; standard input is not closed */
    int64_t length;        /* -1: not known, sent in chunks */
    int64_t sent;          /* bytes read so far, all of which were given to the client */
    char md5[MD5_HEX + 1]; /* "": none is sent */
    bool failed;           /* reading did; said already */
};

/* Always false, so that a caller can return it. What it says is not said again when the request
 * fails for it. */
static bool put_complain(struct put *put, const char *doing, const char *why)
{
    say_error("could not %s %s: %s", doing, put->file, why);
    put->failed = true;
    return false;
}

static ssize_t read_some(int fd, char *to, size_t max)
{
    ssize_t n;
    do
        n = read(fd, to, max);
    while (n < 0 && errno == EINTR);
    return n;
}

/* The MD5 of a regular file, so that the master can tell whether all of it arrived as it is here.
 * It costs a second read, mostly from memory. */
static bool put_digest(struct put *put)
{
    struct md5 *md5 = md5_new();
    char *piece = malloc(PIECE);
    ssize_t n = -1;
    bool good = false;
    unsigned char digest[MD5_SIZE];
    errno = ENOMEM;
    while (md5 && piece && (n = read_some(put->fd, piece, PIECE)) > 0)
        md5_update(md5, piece, (size_t)n);
    if (n < 0 || lseek(put->fd, 0, SEEK_SET) < 0)
        (void)put_complain(put, "read", strerror(errno));
    else if (md5_finish(md5, digest))
        (void)put_complain(put, "compute the MD5 of", status_text(ST_INTERNAL));
    else
        good = true;
    if (good)
        md5_hex(digest, put->md5);
    md5_free(md5);
    free(piece);
    return good;
}

/* Says why it fails. An empty file is refused here, since the message is clearer than the master's.
 */
static bool put_open(struct put *put, bool with_md5)
{
    struct stat is;
    put->length = -1;
    if (strcmp(put->file, "-") == 0) {
        put->file = "standard input";
        put->fd = STDIN_FILENO;
    } else {
        put->fd = open(put->file, O_RDONLY | O_CLOEXEC);
    }
    if (put->fd < 0 || fstat(put->fd, &is) != 0)
        return put_complain(put, "open", strerror(errno));
    if (S_ISDIR(is.st_mode))
        return put_complain(put, "read", "it is a directory");
    /* Of standard input a part may be read already. */
    if (!S_ISREG(is.st_mode) || put->fd == STDIN_FILENO)
        return true;
    if (is.st_size == 0)
        return put_complain(put, "store", "it is empty, and a value has at least one byte");
    put->length = is.st_size;
    return !with_md5 || put_digest(put);
}

/* Never gives more than was announced: a file that grows meanwhile is stored as long as it was. */
static size_t put_read(void *arg, char *to, size_t max)
{
    struct put *put = arg;
    if (put->length >= 0 && (uint64_t)(put->length - put->sent) < max)
        max = (size_t)(put->length - put->sent);
    ssize_t n = max ? read_some(put->fd, to, max) : 0;
    if (n < 0) {
        (void)put_complain(put, "read", strerror(errno));
        return HTTP_READ_ABORT;
    }
    if (n == 0 && put->sent < put->length) {
        (void)put_complain(put, "read", "it became shorter meanwhile; nothing was stored");
        return HTTP_READ_ABORT;
    }
    put->sent += n;
    return (size_t)n;
}

/* The fields and the path live until the answer is there, and the fetcher copies them besides. */
static enum status put_send(struct put *put, struct client *client, const struct key *key,
                            const char *type)
{
    char md5[64];
    char *type_field = NULL;
    const char *fields[3] = {NULL, NULL, NULL};
    size_t count = 0;
    struct buf path = BUF_INIT;
    key_encode(&path, key->bytes, key->len);
    (void)snprintf(md5, sizeof md5, "Content-MD5: %s", put->md5);
    if (put->md5[0])
        fields[count++] = md5;
    if (type && asprintf(&type_field, "Content-Type: %s", type) < 0)
        type_field = NULL;
    if (type_field)
        fields[count++] = type_field;
    const struct http_call_spec spec = {.method = "PUT",
                                        .fields = fields,
                                        .has_body = true,
                                        .body_length = put->length,
                                        .read = put_read,
                                        .arg = put,
                                        .stall_ms = STALL_MS};
    enum status st = ST_NO_MEMORY;
    if (buf_ok(&path) && (!type || type_field))
        st = client_send(client, &spec, buf_text(&path));
    free(type_field);
    buf_free(&path);
    return st;
}

/* The client before the file: a URL that is none is found before a long read. */
static int put_value(struct put *put, const char *master, const struct key *key, const char *type,
                     bool with_md5)
{
    struct client *client = client_new(master);
    int result = client ? EXIT_FAILED : EXIT_TROUBLE;
    if (client && put_open(put, with_md5)) {
        client_find_writer(client); /* standard input cannot be sent twice */
        enum status st = put_send(put, client, key, type);
        if (!st && client_status(client) == 201)
            result = EXIT_WELL;
        else if (!put->failed)
            client_explain(client, st, "put", key);
    }
    if (put->fd > STDIN_FILENO)
        (void)close(put->fd);
    client_free(client);
    return result;
}

/* A line end in it would make another header. */
static bool good_type(const char *type)
{
    for (; type && *type; type++)
        if ((unsigned char)*type < ' ' || *type == 0x7f) {
            say_error("put: --type has a control character in it");
            return false;
        }
    return true;
}

int put_run(int argc, char **argv)
{
    char *master = NULL;
    char *type = NULL;
    bool raw = false;
    bool md5 = true;
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &master, 0, 0, NULL, "URL", "the master"},
        {"type", 't', OPTION_TEXT, &type, 0, 0, NULL, "TYPE", "the Content-Type of the value"},
        {"md5", 0, OPTION_FLAG, &md5, 0, 0, NULL, NULL,
         "send the MD5 of a file along (default; --no-md5: read it only once)"},
        {"raw", 0, OPTION_FLAG, &raw, 0, 0, NULL, NULL, "KEY is not percent-encoded"},
    };
    const struct option_program program = {
        "larder put", "KEY [FILE|-]",
        "Stores FILE, or standard input, as the value of KEY. Prints nothing where it went well.\n"
        "Exit status: 0 stored, 1 not stored, 2 wrong usage.",
        options, sizeof options / sizeof options[0]};
    int rest = 0;
    struct key key;
    struct put put = {.file = "-", .fd = -1};
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK && arguments_fit("larder put", argc - rest, 1, 2) &&
        arguments_key(argv[rest], raw, &key) && good_type(type)) {
        if (argc - rest == 2)
            put.file = argv[rest + 1];
        result = put_value(&put, master, &key, type, md5);
    }
    options_free(&program);
    return result;
}
