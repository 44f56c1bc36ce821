/* JSON as volumes and masters send it: any text is parsed or refused, and every part of it may be
 * asked for anything. */
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "tests/fuzz/fuzz.h"

enum { DEPTH_MAX = 20 };

static void visit(const struct json *value, int depth);

static void visit_member(void *arg, const char *name, const struct json *value)
{
    check(name != NULL, "a member has a name");
    visit(value, *(int *)arg - 1);
}

/* Asks a value everything, whatever it is; as the readers of listings do. */
static void visit(const struct json *value, int depth)
{
    if (depth == 0)
        return;
    const char *text = json_text(value);
    if (text) {
        struct buf again = BUF_INIT;
        json_add_string(&again, text, strlen(text));
        struct json *copy = json_parse(buf_text(&again), again.len, NULL);
        /* A bare string is a text of its own only for some parsers: then nothing is compared. */
        check(!copy || (json_text(copy) && strcmp(json_text(copy), text) == 0),
              "a string that was written is read again");
        json_free(copy);
        buf_free(&again);
    }
    (void)json_int(value, 0);
    (void)json_bool(value, false);
    (void)json_text(json_member(value, "name"));
    (void)json_int(json_member(value, "size"), -1);
    for (size_t i = 0; i < json_count(value); i++)
        visit(json_item(value, i), depth - 1);
    json_each(value, visit_member, &depth);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char error[200];
    char *copy = malloc(len ? len : 1);
    if (!copy)
        return 0;
    if (len)
        memcpy(copy, bytes, len);
    struct json *json = json_parse(copy, len, error);
    if (json)
        visit(json, DEPTH_MAX);
    else
        check(strlen(error) < sizeof error, "a reason");
    json_free(json);
    free(copy);
    return 0;
}
