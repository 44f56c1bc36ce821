/*
 * Heads, in two passes: the first looks for the end, again and again while bytes arrive, and looks
 * at each byte once; the second, on the whole head, takes it apart in place.
 *
 * Strictness is the point. A server behind a proxy that reads a request in another way than the
 * proxy has done takes part of one client's request for another's; so nothing is repaired or
 * guessed here, and what has more than one reading is refused.
 */
#include "common/http_head.h"

#include <string.h>
#include <strings.h>

enum {
    METHOD_MAX = 32, /* longer than any method that anyone has registered */
    LEADING_MAX = 8  /* bytes of empty lines before a request: old clients send one after a body */
};

/* UNLINK and REBALANCE are minikeyvalue's. */
static const struct {
    const char *name;
    enum http_method method;
} methods[] = {{"GET", HTTP_GET},
               {"HEAD", HTTP_HEAD},
               {"PUT", HTTP_PUT},
               {"POST", HTTP_POST},
               {"DELETE", HTTP_DELETE},
               {"UNLINK", HTTP_UNLINK},
               {"REBALANCE", HTTP_REBALANCE},
               {"OPTIONS", HTTP_OPTIONS}};

/* --- Classes of bytes --- */

/* None of them asks the locale, as <ctype.h> would. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 9110's tchar: what methods and names of fields are made of. The '-' is looked at first, as
 * hardly any name has another of these. */
static bool is_token(char c)
{
    return is_alnum(c) || c == '-' || (c && strchr("!#$%&'*+.^_`|~", c));
}

/* Bytes of a target: anything visible, and what is not ASCII. '#' begins a fragment, which a client
 * must not send; letting it through would make it part of a key here and not elsewhere. */
static bool is_target(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte > ' ' && byte != 0x7f && byte != '#';
}

/* Bytes of a field's value (RFC 9110, 5.5): what is not ASCII passes, other control bytes do
 * not. */
static bool is_value(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte == '\t' || (byte >= ' ' && byte != 0x7f);
}

/* Bytes of a Host: it goes into the Location of an answer, so nothing that could end the authority
 * there, or hide another in it. */
static bool is_host(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte >= 0x80 || is_alnum(c) || c == '.' || c == '-' || c == ':' ||
           (c && strchr("_~!$&'()*+,;=[]%", c));
}

/* --- Finding the end --- */

/* How many bytes of empty lines stand before the request; -1 where they are too many. Half of such
 * a line is left for the next call. */
static long leading_lines(const char *bytes, size_t len)
{
    size_t at = 0;
    while (at + 1 < len && bytes[at] == '\r' && bytes[at + 1] == '\n')
        at += 2;
    return at > LEADING_MAX ? -1 : (long)at;
}

/* Looks at the beginning of a request line, as much of it as there is: what can never become one is
 * refused now, and not when a head that goes on for ever has timed out. (TLS on this port, for one:
 * its first byte is no token.) It begins anew at every call; HTTP_HEAD_MAX bounds what that can
 * cost. */
static enum status check_start(const char *line, size_t len)
{
    size_t method = 0;
    while (method < len && is_token(line[method]))
        method++;
    if (method > METHOD_MAX)
        return ST_BAD_REQUEST;
    if (method == len || (method == 0 && line[0] == '\r' && len == 1))
        return ST_OK; /* not enough to tell */
    if (method == 0 || line[method] != ' ')
        return ST_BAD_REQUEST;

    const char *target = line + method + 1;
    size_t rest = len - method - 1;
    /* One byte more than allowed is enough to see that it is too long. */
    size_t longest = rest > HTTP_URI_MAX + 1 ? HTTP_URI_MAX + 1 : rest;
    if (longest > HTTP_URI_MAX && !memchr(target, ' ', longest) && !memchr(target, '\n', longest))
        return ST_URI_TOO_LONG;
    return ST_OK;
}

/* A complete request line (its LF at `len`) must have a version: HTTP/0.9 has no fields that would
 * end, so waiting for them would only hold the connection. */
static enum status check_line(const char *line, size_t len)
{
    const char *version = memrchr(line, ' ', len);
    if (!version || version == memchr(line, ' ', len) || line + len - version < 8 ||
        memcmp(version + 1, "HTTP/", 5) != 0)
        return ST_BAD_REQUEST;
    return ST_OK;
}

/* Goes on from *at, line by line; each byte is looked at once, whatever pieces it comes in.
 * The length of the head, or 0. */
static size_t find_end(const char *bytes, size_t begin, size_t len, size_t *at,
                       enum status *refusal)
{
    while (*at < len) {
        const char *from = bytes + *at;
        const char *lf = memchr(from, '\n', len - *at);
        size_t stop = lf ? (size_t)(lf - bytes) : len;
        if (memchr(from, 0, stop - *at)) {
            *refusal = ST_BAD_REQUEST;
            return 0;
        }
        *at = stop;
        if (!lf)
            return 0;
        if (stop == begin || bytes[stop - 1] != '\r') {
            *refusal = ST_BAD_REQUEST;
            return 0;
        }
        *at = stop + 1;
        /* This LF ends an empty line: CRLF right behind the LF of the line before. */
        if (stop >= begin + 3 && bytes[stop - 2] == '\n')
            return stop + 1;
        /* The first line is over: it is judged now, since no other may ever come. */
        if (memchr(bytes + begin, '\n', stop + 1 - begin) == lf)
            *refusal = check_line(bytes + begin, stop - begin);
        if (*refusal)
            return 0;
    }
    return 0;
}

/* Beyond HTTP_HEAD_MAX nothing is looked at: what has no end by then is too large, even if the rest
 * of a pipeline has arrived behind it. */
size_t http_head_find(const char *bytes, size_t len, size_t *scanned, enum status *refusal)
{
    size_t from_start = 0;
    size_t *at = scanned ? scanned : &from_start;
    size_t within = len > HTTP_HEAD_MAX ? HTTP_HEAD_MAX : len;
    *refusal = ST_OK;
    long leading = leading_lines(bytes, within);
    if (leading < 0) {
        *refusal = ST_BAD_REQUEST;
        return 0;
    }
    size_t begin = (size_t)leading;
    if (*at < begin)
        *at = begin;
    if (begin == within)
        return 0;
    *refusal = check_start(bytes + begin, within - begin);
    if (*refusal)
        return 0;
    size_t end = find_end(bytes, begin, within, at, refusal);
    if (!end && !*refusal && within == HTTP_HEAD_MAX)
        *refusal = ST_HEAD_TOO_LARGE;
    return end;
}

/* --- The request line --- */

/* Any token passes: whether it is allowed is for the handler to say, who knows the path. */
static void set_method(struct http_head *head, const char *name)
{
    head->method = HTTP_OTHER;
    head->method_name = name;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i].name, name) == 0) {
            head->method = methods[i].method;
            return;
        }
}

/* 1.2 would mean 1.1 to a lenient server; nobody sends it, so it is refused with the others. */
static enum status parse_version(struct http_head *head, const char *text)
{
    if (strcmp(text, "HTTP/1.1") == 0)
        head->minor = 1;
    else if (strcmp(text, "HTTP/1.0") == 0)
        head->minor = 0;
    else if (strncmp(text, "HTTP/", 5) == 0 && is_digit(text[5]) &&
             strspn(text + 5, "0123456789.") == strlen(text + 5))
        return ST_HTTP_VERSION;
    else
        return ST_BAD_REQUEST;
    head->keep_alive = head->minor == 1;
    return ST_OK;
}

/* Cuts "http://authority" off an absolute-form target (RFC 9112, 3.2.2), which proxies send and
 * servers must accept; NULL where it is not that either. */
static char *cut_authority(char *target)
{
    size_t scheme = strncasecmp(target, "http://", 7) == 0    ? 7
                    : strncasecmp(target, "https://", 8) == 0 ? 8
                                                              : 0;
    if (!scheme)
        return NULL;
    char *authority = target + scheme;
    size_t len = strcspn(authority, "/?");
    return len ? authority + len : NULL;
}

/* `target` is NUL-terminated and has no forbidden bytes. The authority of an absolute form is not
 * compared with Host: there is one server here, whatever it is called. */
static enum status parse_target(struct http_head *head, char *target)
{
    if (strcmp(target, "*") == 0 && head->method != HTTP_OPTIONS)
        return ST_BAD_REQUEST;
    if (strcmp(head->method_name, "CONNECT") == 0)
        return ST_METHOD; /* its target has a form of its own, and nothing here is a tunnel */
    char *path = target;
    if (*target != '/' && strcmp(target, "*") != 0)
        path = cut_authority(target);
    if (!path)
        return ST_BAD_REQUEST;
    char *query = strchr(path, '?');
    if (query)
        *query++ = 0;
    head->path = *path ? path : "/";
    head->path_len = strlen(head->path);
    head->query = query ? query : "";
    head->query_len = strlen(head->query);
    return ST_OK;
}

/* `line` has its CRLF replaced by a NUL. */
static enum status parse_request_line(struct http_head *head, char *line, size_t len)
{
    char *target = memchr(line, ' ', len);
    char *version = memrchr(line, ' ', len);
    if (!target || target == version || target == line)
        return ST_BAD_REQUEST;
    for (const char *c = line; c < target; c++)
        if (!is_token(*c))
            return ST_BAD_REQUEST;
    *target++ = 0;
    *version++ = 0;
    /* Two spaces in a row: the target is empty. */
    if (version - 1 == target)
        return ST_BAD_REQUEST;
    set_method(head, line);
    if (version - 1 - target > HTTP_URI_MAX)
        return ST_URI_TOO_LONG;
    enum status st = parse_version(head, version);
    if (st)
        return st;
    /* A space within the target ends up here too: it is not a byte of one. */
    for (const char *c = target; c < version - 1; c++)
        if (!is_target(*c))
            return ST_BAD_REQUEST;
    return parse_target(head, target);
}

/* --- Fields --- */

/* Cuts the line at its colon, and white space off the value. */
static enum status parse_field(struct http_head *head, char *line, size_t len)
{
    size_t name = 0;
    while (name < len && is_token(line[name]))
        name++;
    /* White space before the colon and folded lines end up here: both have been used to make two
     * servers see two different requests. */
    if (name == 0 || name == len || line[name] != ':')
        return ST_BAD_REQUEST;
    if (head->field_count == HTTP_FIELDS_MAX)
        return ST_HEAD_TOO_LARGE;
    char *value = line + name + 1;
    char *end = line + len;
    for (const char *c = value; c < end; c++)
        if (!is_value(*c))
            return ST_BAD_REQUEST;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    line[name] = 0;
    *end = 0;
    head->fields[head->field_count++] = (struct http_field){line, value};
    return ST_OK;
}

/* --- What the fields mean for the framing --- */

/* Digits, and nothing else: a sign, a list or white space inside would be read differently
 * elsewhere. */
static enum status parse_length(struct http_head *head, const char *text)
{
    if (head->has_length || !*text)
        return ST_BAD_REQUEST;
    uint64_t length = 0;
    for (; *text; text++) {
        if (!is_digit(*text))
            return ST_BAD_REQUEST;
        unsigned digit = (unsigned)(*text - '0');
        if (length > ((uint64_t)INT64_MAX - digit) / 10)
            return ST_BAD_REQUEST;
        length = length * 10 + digit;
    }
    head->has_length = true;
    head->length = length;
    return ST_OK;
}

/* True where the comma-separated list has the token. Connection: is such a list, and "upgrade,
 * close" means close. */
static bool list_has(const char *list, const char *token)
{
    size_t len = strlen(token);
    while (*list) {
        list += strspn(list, " \t,");
        size_t item = strcspn(list, " \t,");
        if (item == len && strncasecmp(list, token, len) == 0)
            return true;
        list += item;
    }
    return false;
}

/* What the fields that decide about the framing have said, taken together. */
struct framing {
    unsigned hosts, codings, unknown_codings;
    bool close, keep, bad_host, bad_expect;
};

/* Names know no case. The first letter tells most fields that mean nothing here. */
static bool is_named(const struct http_field *field, const char *name)
{
    return (field->name[0] | 0x20) == (name[0] | 0x20) && strcasecmp(field->name, name) == 0;
}

/* Takes one field into account; most are none of these. Only a length is refused at once: the
 * others may come twice, or in a combination that decides with which status. */
static enum status note_field(struct http_head *head, struct framing *seen,
                              const struct http_field *field)
{
    const char *value = field->value;
    if (is_named(field, "Content-Length"))
        return parse_length(head, value);
    if (is_named(field, "Transfer-Encoding")) {
        seen->codings++;
        seen->unknown_codings += strcasecmp(value, "chunked") != 0;
    } else if (is_named(field, "Host")) {
        seen->hosts++;
        for (const char *c = value; *c; c++)
            seen->bad_host |= !is_host(*c);
    } else if (is_named(field, "Connection")) {
        seen->close |= list_has(value, "close");
        seen->keep |= list_has(value, "keep-alive");
    } else if (is_named(field, "Expect")) {
        seen->bad_expect |= strcasecmp(value, "100-continue") != 0;
        head->expects_continue = head->minor == 1;
    }
    return ST_OK;
}

/* What ends where must be beyond doubt: whatever two servers could read in two ways is refused. */
static enum status check_framing(struct http_head *head)
{
    struct framing seen = {0};
    for (size_t i = 0; i < head->field_count; i++) {
        enum status st = note_field(head, &seen, &head->fields[i]);
        if (st)
            return st;
    }
    if (seen.hosts > 1 || seen.bad_host || (seen.hosts == 0 && head->minor == 1))
        return ST_BAD_REQUEST;
    /* The order decides about the status: what is ambiguous (400) comes before what is only unknown
     * (501), and both before an Expect (417), which nobody can be misled by. */
    if (seen.codings && (head->has_length || head->minor == 0))
        return ST_BAD_REQUEST;
    if (seen.unknown_codings)
        return ST_NOT_IMPLEMENTED;
    if (seen.codings > 1)
        return ST_BAD_REQUEST;
    head->chunked = seen.codings == 1;
    /* RFC 9110 gives such a body no meaning; some servers read it, and some take it for a
     * request. */
    if ((head->method == HTTP_GET || head->method == HTTP_HEAD) && http_head_has_body(head))
        return ST_BAD_REQUEST;
    if (seen.bad_expect)
        return ST_EXPECTATION;
    if (seen.close)
        head->keep_alive = false;
    else if (seen.keep)
        head->keep_alive = true;
    return ST_OK;
}

/* --- */

/* `fields` is left as it is: only the first field_count of them mean anything. */
static void clear(struct http_head *head)
{
    head->method = HTTP_OTHER;
    head->method_name = head->path = head->query = "";
    head->path_len = head->query_len = head->field_count = 0;
    head->minor = 1;
    head->keep_alive = head->chunked = head->has_length = head->expects_continue = false;
    head->length = 0;
}

enum status http_head_parse(struct http_head *head, char *bytes, size_t len)
{
    clear(head);
    long leading = leading_lines(bytes, len);
    if (leading < 0)
        return ST_BAD_REQUEST;
    char *line = bytes + leading;
    const char *end = bytes + len;
    bool first = true;
    while (line < end) {
        char *lf = memchr(line, '\n', (size_t)(end - line));
        if (!lf || lf == line || lf[-1] != '\r')
            return ST_BAD_REQUEST;
        size_t line_len = (size_t)(lf - 1 - line);
        if (line_len == 0) /* the empty line: the end, or no request line at all */
            return first || lf + 1 != end ? ST_BAD_REQUEST : check_framing(head);
        lf[-1] = 0;
        enum status st =
            first ? parse_request_line(head, line, line_len) : parse_field(head, line, line_len);
        if (st)
            return st;
        first = false;
        line = lf + 1;
    }
    return ST_BAD_REQUEST;
}

/* A walk over at most a hundred; a table would cost more for the few that are asked for. */
const char *http_head_field(const struct http_head *head, const char *name)
{
    for (size_t i = 0; i < head->field_count; i++)
        if (strcasecmp(head->fields[i].name, name) == 0)
            return head->fields[i].value;
    return NULL;
}

bool http_head_has_body(const struct http_head *head)
{
    return head->chunked || head->length > 0;
}
