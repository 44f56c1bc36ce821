/*
 * The list of status.h, made into a table, and two translations: from errno, and from HTTP's
 * numbers to their phrases.
 */
#include "common/status.h"

#include <errno.h>
#include <stddef.h>

static const struct {
    int http;
    const char *text;
} list[] = {
#define STATUS_ROW(name, http, text) {http, text},
    STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

/* A status of another value can only come from memory that was overwritten; both look-ups survive
 * it. */
enum { COUNT = sizeof list / sizeof list[0] };

const char *status_text(enum status st)
{
    return (size_t)st < COUNT ? list[st].text : "unknown error";
}

int status_http(enum status st)
{
    return (size_t)st < COUNT ? list[st].http : 500;
}

enum status status_of_errno(int err)
{
    switch (err) {
    case 0:
        return ST_OK;
    case ENOSPC:
    case EDQUOT:
        return ST_NO_SPACE;
    /* ENOTDIR: a component of the path is a file, so what is asked for cannot be there. */
    case ENOENT:
    case ENOTDIR:
        return ST_NOT_FOUND;
    case EROFS:
        return ST_READ_ONLY;
    case ENOMEM:
        return ST_NO_MEMORY;
    /* Too much at once, not a fault of the disk: it passes. */
    case EMFILE:
    case ENFILE:
        return ST_BUSY;
    default:
        return ST_IO;
    }
}

/* The statuses that anything here answers with, and a few that volumes may: RFC 9110, section 15;
 * 507: RFC 4918; 431: RFC 6585. Nobody acts upon the phrases, but people read them. */
static const struct {
    int http;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {200, "OK"},
    {201, "Created"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {400, "Bad Request"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *status_reason(int http)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].http == http)
            return reasons[i].reason;
    return "Unknown";
}
