/*
 * The answer is parsed once, and kept: its texts are used where they are, and the client's next
 * request may come while the list is in use.
 */
#include "tools/larder/volumelist.h"

#include <stdlib.h>

#include "common/json.h"
#include "tools/larder/client.h"
#include "tools/larder/say.h"

struct volumelist {
    struct json *json;          /* the whole answer; owns all texts */
    const struct json *volumes; /* in it */
};

static const char *text_of(const struct json *volume, const char *name)
{
    return json_text(json_member(volume, name));
}

/* Every volume has a name, or something is in the list that we do not know: to go on without it
 * would be to overlook a volume. */
static bool is_sound(const struct volumelist *list)
{
    for (size_t i = 0; i < json_count(list->volumes); i++)
        if (!text_of(json_item(list->volumes, i), "name"))
            return false;
    return list->volumes != NULL;
}

enum status volumelist_fetch(struct volumelist **list, struct client *client)
{
    *list = NULL;
    enum status st = client_request(client, "GET", "/admin/volumes");
    struct volumelist *new = calloc(1, sizeof *new);
    if (!st && !new)
        st = ST_NO_MEMORY;
    if (st || client_status(client) != 200) {
        client_explain(client, st, "ask for the volumes", NULL);
        free(new);
        return st ? st : ST_PEER;
    }
    new->json = client_json(client);
    new->volumes = json_member(new->json, "volumes");
    if (!is_sound(new)) {
        say_error("the master's list of volumes is not understood");
        volumelist_free(new);
        return ST_PEER;
    }
    *list = new;
    return ST_OK;
}

void volumelist_free(struct volumelist *list)
{
    if (!list)
        return;
    json_free(list->json);
    free(list);
}

size_t volumelist_count(const struct volumelist *list)
{
    return json_count(list->volumes);
}

/* Old masters tell less: what may be missing is NULL or "", as the header has it. */
struct volumelist_item volumelist_item(const struct volumelist *list, size_t i)
{
    const struct json *volume = json_item(list->volumes, i);
    const char *kind = text_of(volume, "kind");
    const char *state = text_of(volume, "state");
    const char *id = text_of(volume, "id");
    return (struct volumelist_item){.name = text_of(volume, "name"),
                                    .address = text_of(volume, "address"),
                                    .kind = kind ? kind : "",
                                    .state = state ? state : "",
                                    .id = id ? id : ""};
}
