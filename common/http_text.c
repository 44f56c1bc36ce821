#include "common/http_text.h"

#include "common/buf.h"
#include "common/http_request.h"

void http_text_reply(struct http_request *req, int status, const char *type, const struct buf *text)
{
    if (!buf_ok(text)) {
        http_reply_status(req, ST_NO_MEMORY, NULL);
        return;
    }
    http_reply_field(req, "Content-Type", type);
    http_reply(req, status, buf_text(text), text->len);
}
