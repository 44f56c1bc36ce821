/*
 * Entity tags and dates, compared as RFC 9110 says: If-Match and If-Range strongly, If-None-Match
 * weakly (13.1). The value's own tag is always a strong one. A list that is broken is read up to
 * where it breaks: what was named before counts.
 */
#include "volume/condition.h"

#include <string.h>

#include "volume/date.h"

/* Compares one entity tag at `at` with the value's, which is strong. A weak one ("W/") is the same
 * only where a weak comparison is asked for. Moves *at behind the tag, NULL where it is none. */
static bool same_tag(const char **at, const char *etag, bool weak)
{
    const char *from = *at;
    bool is_weak = from[0] == 'W' && from[1] == '/';
    if (is_weak)
        from += 2;
    const char *quote = from[0] == '"' ? strchr(from + 1, '"') : NULL;
    if (!quote) {
        *at = NULL;
        return false;
    }
    *at = quote + 1;
    size_t len = (size_t)(*at - from);
    return (weak || !is_weak) && len == strlen(etag) && !memcmp(from, etag, len);
}

/* True where a list of entity tags, or '*', names the value. '*' names any value, and there is one
 * here. same_tag() sets the list to NULL where it is none any more. */
static bool list_has(const char *list, const char *etag, bool weak)
{
    list += strspn(list, " \t");
    if (list[0] == '*')
        return true;
    while (list && *list) {
        list += strspn(list, " \t,");
        if (*list && same_tag(&list, etag, weak))
            return true;
    }
    return false;
}

/* A tag is always looked at before a date, and makes it mean nothing: dates have seconds only, and
 * two values may have the same. */
enum condition_result condition_check(const struct condition *condition, const char *etag,
                                      time_t modified)
{
    time_t date;
    if (condition->if_match) {
        if (!list_has(condition->if_match, etag, false))
            return CONDITION_FAILED;
    } else if (condition->if_unmodified_since &&
               date_parse(condition->if_unmodified_since, &date) && modified > date) {
        return CONDITION_FAILED;
    }
    if (condition->if_none_match) {
        if (list_has(condition->if_none_match, etag, true))
            return CONDITION_NOT_MODIFIED;
    } else if (condition->if_modified_since && date_parse(condition->if_modified_since, &date) &&
               modified <= date) {
        return CONDITION_NOT_MODIFIED;
    }
    return CONDITION_SEND;
}

bool condition_range(const struct condition *condition, const char *etag, time_t modified)
{
    const char *text = condition->if_range;
    time_t date;
    if (!text)
        return true;
    /* A date or one tag. The date must be the very one: a value that is older than the client
     * believes is another value, too. */
    if (text[0] == '"' || (text[0] == 'W' && text[1] == '/'))
        return same_tag(&text, etag, false) && text[strspn(text, " \t")] == '\0';
    return date_parse(text, &date) && date == modified;
}
