/*
 * Volumes on the command line: their names, and the requests that change the set of volumes. The
 * master answers with a sentence for people, which is passed on word for word: it knows whether a
 * volume was new, there, or has moved.
 */
#include "tools/larder/member.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "tools/larder/client.h"
#include "tools/larder/say.h"

bool member_name(const char *text, char name[VOLUME_NAME_MAX + 1])
{
    if (!placement_volume_name(text, strlen(text), name))
        return true;
    say_error("'%s' is no volume: write host:port or host:port/path", text);
    return false;
}

/* 404 and 409 have a meaning of their own here, which the general advice would miss. */
static void explain(const struct client *client, enum status st, const char *doing,
                    const char *name)
{
    struct buf reason = BUF_INIT;
    char what[VOLUME_NAME_MAX + 64];
    int http = st ? 0 : client_status(client);
    if (http == 404) {
        say_error("could not %s %s: the store has no such volume; 'larder status' lists them",
                  doing, name);
    } else if (http == 409 && client_reason(client, &reason)) {
        say_error("could not %s %s: %s", doing, name, buf_text(&reason));
    } else {
        (void)snprintf(what, sizeof what, "%s %s", doing, name);
        client_explain(client, st, what, NULL);
    }
    buf_free(&reason);
}

/* A line end is added where the master's sentence has none. */
bool member_post(struct client *client, const char *path, const char *name, const char *doing)
{
    enum status st = client_post(client, path, name);
    if (st || client_status(client) != 200) {
        explain(client, st, doing, name);
        return false;
    }
    size_t len;
    const char *text = client_body(client, &len);
    say_bytes(text, len);
    if (len && text[len - 1] != '\n')
        say("\n");
    return true;
}
