/* Heads: pieces give what the whole gives, and whatever is accepted is beyond doubt. */
#include "common/http_head.h"

#include <string.h>
#include <strings.h>

#include "tests/fuzz/fuzz.h"

static bool is_clean(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f || text[i] == '#')
            return false;
    return strlen(text) == len;
}

static void check_fields(const struct http_head *head)
{
    size_t lengths = 0;
    size_t hosts = 0;
    check(head->field_count <= HTTP_FIELDS_MAX, "at most 100 fields");
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        check(*field->name && !strpbrk(field->name, " \t\r\n:"), "a name is a token");
        check(!strpbrk(field->value, "\r\n"), "a value is one line");
        check(!strchr(" \t", *field->value) || !*field->value, "no white space before a value");
        lengths += strcasecmp(field->name, "content-length") == 0;
        hosts += strcasecmp(field->name, "host") == 0;
        check(http_head_field(head, field->name) != NULL, "a field is found by its name");
    }
    check(lengths == (head->has_length ? 1 : 0), "at most one length");
    check(hosts == 1 || (hosts == 0 && head->minor == 0), "one host");
}

static void check_accepted(const struct http_head *head)
{
    check(*head->path == '/' || (strcmp(head->path, "*") == 0 && head->method == HTTP_OPTIONS),
          "a path, or '*' with OPTIONS");
    check(is_clean(head->path, head->path_len) && !strchr(head->path, '?'), "a clean path");
    check(is_clean(head->query, head->query_len), "a clean query");
    check(head->path_len + head->query_len <= HTTP_URI_MAX, "a URI within its limit");
    check(!head->chunked || (!head->has_length && head->minor == 1), "one framing only");
    check(head->length <= INT64_MAX, "a length below 2^63");
    check(!http_head_has_body(head) || (head->method != HTTP_GET && head->method != HTTP_HEAD),
          "no body on GET or HEAD");
    check_fields(head);
}

/* The pieces in which it arrives are made up from the bytes themselves. */
static size_t find_in_pieces(const char *bytes, size_t len, enum status *refusal)
{
    size_t scanned = 0;
    size_t have = 0;
    size_t found = 0;
    *refusal = ST_OK;
    while (have < len && !found && !*refusal) {
        have += (unsigned char)bytes[have] % 31 + 1;
        found = http_head_find(bytes, have < len ? have : len, &scanned, refusal);
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    /* Memory of exactly this size, so that a byte too far is seen. */
    char *copy = malloc(len ? len : 1);
    if (!copy)
        return 0;
    if (len)
        memcpy(copy, bytes, len);
    enum status whole_refusal;
    enum status refusal;
    size_t whole = http_head_find(copy, len, NULL, &whole_refusal);
    size_t pieces = find_in_pieces(copy, len, &refusal);
    check(whole == pieces, "the same end, whole and in pieces");
    /* Which of two faults is met first may differ, that there is one may not. */
    check(!whole_refusal == !refusal, "refused whole and in pieces");
    check(whole <= HTTP_HEAD_MAX && (!whole || !whole_refusal), "an end, or a refusal");
    static struct http_head head;
    if (whole && http_head_parse(&head, copy, whole) == ST_OK)
        check_accepted(&head);
    free(copy);
    return 0;
}
