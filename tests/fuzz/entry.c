/* Entries of the log: what is taken for one is encoded again to the same bytes, and its operations
 * can be gone through. With its digest set right first, since no fuzzer guesses that. */
#include "common/entry.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/md5.h"
#include "tests/fuzz/fuzz.h"

enum { DIGEST = 48 };

static void check_operations(const struct entry *entry)
{
    const char *at = entry->ops;
    const char *end = at + entry->ops_len;
    size_t bytes = 0;
    struct entry_op op;
    while (entry_next_op(&at, end, &op))
        bytes += 8 + op.key_len + op.value_len;
    check(at == end && bytes == entry->ops_len, "the operations are all there is");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct buf copy = BUF_INIT;
    struct buf again = BUF_INIT;
    struct entry entry;
    buf_add(&copy, bytes, len);
    if (len >= ENTRY_HEAD)
        check(md5_pair(copy.data, DIGEST, copy.data + ENTRY_HEAD, len - ENTRY_HEAD,
                       (unsigned char *)copy.data + DIGEST) == ST_OK,
              "a digest");
    if (entry_decode(&entry, buf_text(&copy), len) == ST_OK) {
        check_operations(&entry);
        check(entry_encode(&again, &entry) == ST_OK, "it is encoded again");
        check(again.len == len && memcmp(again.data, copy.data, len) == 0, "to the same bytes");
    }
    buf_free(&copy);
    buf_free(&again);
    return 0;
}
