/* etcd's answers: whatever it is, it is taken whole or refused, and freed. */
#include "common/etcd_answer.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct etcd_answer answer;
    enum status st = etcd_answer_parse(&answer, (const char *)bytes, len);
    for (size_t i = 0; i < answer.count && st == ST_OK; i++) {
        const struct etcd_kv *kv = &answer.kvs[i];
        check(kv->key && kv->value && !kv->key[kv->key_len] && !kv->value[kv->value_len],
              "texts end in a NUL");
        check(etcd_answer_find(&answer, kv->key) || strlen(kv->key) < kv->key_len, "it is found");
    }
    check(answer.code == 0 || answer.message[0], "a refusal has a reason");
    etcd_answer_free(&answer);
    return 0;
}
