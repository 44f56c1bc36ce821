/* Records: what is decoded, encoded again and decoded is the same. */
#include "common/record.h"

#include <string.h>

#include "common/buf.h"
#include "tests/fuzz/fuzz.h"

struct texts {
    struct buf value, work;
    bool has_value, has_work;
};

static void encode(const struct record *rec, const struct key *key, struct texts *texts)
{
    *texts = (struct texts){.value = BUF_INIT, .work = BUF_INIT};
    texts->has_value = record_encode(rec, key, &texts->value);
    texts->has_work = record_encode_work(rec, &texts->work);
}

static void free_texts(struct texts *texts)
{
    buf_free(&texts->value);
    buf_free(&texts->work);
}

/* minikeyvalue's text cannot say a place that begins with one of its own words; no host:port does.
 */
static bool is_ambiguous(const struct record *rec)
{
    for (size_t i = 0; i < rec->place_count; i++)
        if (strncmp(rec->places[i], "DELETED", 7) == 0 || strncmp(rec->places[i], "HASH", 4) == 0)
            return true;
    return false;
}

static void check_round_trip(const struct record *rec, const struct key *key)
{
    struct texts first;
    struct texts second;
    struct record again;
    encode(rec, key, &first);
    record_init(&again);
    check(record_decode(&again, first.has_value ? buf_text(&first.value) : NULL, first.value.len,
                        first.has_work ? buf_text(&first.work) : NULL, first.work.len) == ST_OK,
          "an encoded record is decoded");
    encode(&again, key, &second);
    check(rec->state == again.state && rec->generation == again.generation, "the same version");
    check(first.has_value == second.has_value && first.has_work == second.has_work &&
              strcmp(buf_text(&first.value), buf_text(&second.value)) == 0 &&
              strcmp(buf_text(&first.work), buf_text(&second.work)) == 0,
          "encoded again, it is the same text");
    free_texts(&first);
    free_texts(&second);
    record_free(&again);
}

/* A value, and behind a NUL what is still to do; without either it is not there. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const char *const keys[] = {"/key",
                                       "/\xff\xff\xff"}; /* the second has a '/' in base64 */
    if (len == 0)
        return 0;
    struct key key;
    const char *name = keys[bytes[0] & 1];
    check(key_from_bytes(&key, name, strlen(name)) == ST_OK, "a good key");
    char *copy = malloc(len);
    if (!copy)
        return 0;
    memcpy(copy, bytes, len);
    char *end = copy + len;
    char *nul = memchr(copy + 1, 0, len - 1);
    char *value_end = nul ? nul : end;
    bool has_value = value_end > copy + 1;
    struct record rec;
    record_init(&rec);
    if (record_decode(&rec, has_value ? copy + 1 : NULL, (size_t)(value_end - copy - 1),
                      nul ? nul + 1 : NULL, nul ? (size_t)(end - nul - 1) : 0) == ST_OK &&
        !is_ambiguous(&rec))
        check_round_trip(&rec, &key);
    record_free(&rec);
    free(copy);
    return 0;
}
