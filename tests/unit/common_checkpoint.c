/* Checkpoints: what is written is read, in whatever pieces; damage anywhere is met; and a stream
 * that broke off goes on behind its last whole block. */
#include "common/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "tests/unit/suite.h"

enum { BLOCKS = 4, PER_BLOCK = 3, ENTRIES = 12 };

/* What a reader was told, as text; and where the stream could be resumed. */
struct told {
    struct buf text;
    struct buf bytes; /* of whole blocks */
    size_t ends[16];  /* where blocks end, in the stream */
    size_t end_count;
    enum status refusal; /* what the sink returns for an entry */
};

static enum status told_head(void *arg, const struct checkpoint_head *head)
{
    struct told *told = arg;
    buf_addf(&told->text, "head %s %s %llu %llu\n", head->id, head->store,
             (unsigned long long)head->sequence, (unsigned long long)head->made_ms);
    return ST_OK;
}

static enum status told_entry(void *arg, const char *key, size_t key_len, const char *value,
                              size_t value_len)
{
    struct told *told = arg;
    buf_addf(&told->text, "%.*s=%.*s\n", (int)key_len, key, (int)value_len, value);
    return told->refusal;
}

static enum status told_block(void *arg, const char *bytes, size_t len)
{
    struct told *told = arg;
    buf_add(&told->bytes, bytes, len);
    told->ends[told->end_count++] = told->bytes.len;
    return ST_OK;
}

static const struct checkpoint_sink sink = {told_head, told_entry, told_block};

static void told_free(struct told *told)
{
    buf_free(&told->text);
    buf_free(&told->bytes);
    memset(told, 0, sizeof *told);
}

/* --- streams --- */

static void add_entries(struct buf *entries, int block)
{
    buf_clear(entries);
    for (int i = 0; i < PER_BLOCK; i++) {
        char key[16];
        char value[32];
        (void)snprintf(key, sizeof key, "/k%d%d", block, i);
        (void)snprintf(value, sizeof value, "value-%d-%d", block, i);
        checkpoint_add(entries, key, strlen(key), value, i ? strlen(value) : 0);
    }
}

static const struct checkpoint_head some_head = {
    "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210", 77, 1700000000000ULL};

static struct buf make_stream(void)
{
    struct buf out = BUF_INIT;
    struct buf entries = BUF_INIT;
    struct checkpoint_point point;
    ck_assert_int_eq(checkpoint_begin(&out, &some_head, &point), ST_OK);
    for (int block = 0; block < BLOCKS; block++) {
        add_entries(&entries, block);
        ck_assert_int_eq(checkpoint_block(&out, &entries, PER_BLOCK, &point), ST_OK);
    }
    ck_assert_int_eq(checkpoint_end(&out, &point), ST_OK);
    ck_assert_uint_eq(point.entries, ENTRIES);
    buf_free(&entries);
    return out;
}

/* Feeds it in pieces of `piece` bytes. */
static enum status feed(struct checkpoint_reader *reader, const char *data, size_t len,
                        size_t piece)
{
    enum status st = ST_OK;
    for (size_t at = 0; at < len && !st; at += piece)
        st = checkpoint_reader_take(reader, data + at, len - at < piece ? len - at : piece);
    return st;
}

/* True where it is read without a fault, and is whole. */
static bool reads_whole(const char *data, size_t len)
{
    struct told told = {0};
    struct checkpoint_reader *reader = checkpoint_reader_new(&sink, &told);
    ck_assert_ptr_nonnull(reader);
    enum status st = feed(reader, data, len, len);
    bool whole = !st && checkpoint_reader_whole(reader);
    if (st == ST_CORRUPT || st == ST_NOT_IMPLEMENTED)
        ck_assert_str_ne(checkpoint_reader_fault(reader), "");
    checkpoint_reader_free(reader);
    told_free(&told);
    return whole;
}

static void find_blocks(const struct buf *stream, struct told *told)
{
    struct checkpoint_reader *reader = checkpoint_reader_new(&sink, told);
    ck_assert_int_eq(checkpoint_reader_take(reader, stream->data, stream->len), ST_OK);
    ck_assert(checkpoint_reader_whole(reader));
    checkpoint_reader_free(reader);
    ck_assert_uint_eq(told->end_count, BLOCKS + 2); /* head and end */
}

/* --- tests --- */

START_TEST(what_is_written_is_read)
{
    struct buf stream = make_stream();
    struct buf first = BUF_INIT;
    for (size_t piece = 1; piece <= stream.len; piece += piece < 40 ? 1 : 97) {
        struct told told = {0};
        struct checkpoint_reader *reader = checkpoint_reader_new(&sink, &told);
        ck_assert(!checkpoint_reader_begun(reader));
        ck_assert_int_eq(feed(reader, stream.data, stream.len, piece), ST_OK);
        ck_assert(checkpoint_reader_whole(reader));
        ck_assert_uint_eq(checkpoint_reader_point(reader)->entries, ENTRIES);
        ck_assert_uint_eq(checkpoint_reader_offset(reader), stream.len);
        ck_assert_uint_eq(checkpoint_reader_head(reader)->sequence, 77);
        ck_assert_str_eq(buf_text(checkpoint_reader_key(reader)), "/k32");
        if (!first.len)
            buf_add(&first, told.text.data, told.text.len);
        ck_assert_str_eq(buf_text(&told.text), buf_text(&first));
        ck_assert_uint_eq(told.bytes.len, stream.len);
        ck_assert_int_eq(memcmp(told.bytes.data, stream.data, stream.len), 0);
        checkpoint_reader_free(reader);
        told_free(&told);
    }
    ck_assert_ptr_nonnull(strstr(buf_text(&first), "head 0123456789abcdef"));
    ck_assert_ptr_nonnull(strstr(buf_text(&first), "\n/k00=\n/k01=value-0-1\n"));
    buf_free(&first);
    buf_free(&stream);
}
END_TEST

START_TEST(an_empty_index_has_a_checkpoint)
{
    struct buf stream = BUF_INIT;
    struct checkpoint_point point;
    ck_assert_int_eq(checkpoint_begin(&stream, &some_head, &point), ST_OK);
    ck_assert_int_eq(checkpoint_end(&stream, &point), ST_OK);
    ck_assert(reads_whole(stream.data, stream.len));
    buf_free(&stream);
}
END_TEST

START_TEST(half_a_stream_is_never_whole)
{
    struct buf stream = make_stream();
    for (size_t len = 0; len < stream.len; len++)
        ck_assert_msg(!reads_whole(stream.data, len), "cut at %zu", len);
    ck_assert(reads_whole(stream.data, stream.len));
    buf_addc(&stream, 'E');
    ck_assert(!reads_whole(stream.data, stream.len)); /* something behind the end */
    buf_free(&stream);
}
END_TEST

START_TEST(damage_at_any_byte_is_met)
{
    static const unsigned char masks[] = {0x01, 0x80, 0xff};
    struct buf stream = make_stream();
    for (size_t at = 0; at < stream.len; at++)
        for (size_t i = 0; i < sizeof masks; i++) {
            stream.data[at] = (char)((unsigned char)stream.data[at] ^ masks[i]);
            ck_assert_msg(!reads_whole(stream.data, stream.len), "byte %zu, mask %x", at, masks[i]);
            stream.data[at] = (char)((unsigned char)stream.data[at] ^ masks[i]);
        }
    ck_assert(reads_whole(stream.data, stream.len));
    buf_free(&stream);
}
END_TEST

/* Every block is sound by itself. */
START_TEST(blocks_that_are_lost_doubled_or_moved_are_met)
{
    struct buf stream = make_stream();
    struct told told = {0};
    find_blocks(&stream, &told);
    for (size_t i = 0; i + 1 < told.end_count; i++) {
        size_t from = told.ends[i];
        size_t to = told.ends[i + 1];
        struct buf other = BUF_INIT;
        buf_add(&other, stream.data, from); /* without it */
        buf_add(&other, stream.data + to, stream.len - to);
        ck_assert(!reads_whole(other.data, other.len));
        buf_clear(&other);
        buf_add(&other, stream.data, to); /* twice */
        buf_add(&other, stream.data + from, stream.len - from);
        ck_assert(!reads_whole(other.data, other.len));
        if (i + 2 < told.end_count) {
            size_t end = told.ends[i + 2];
            buf_clear(&other);
            buf_add(&other, stream.data, from); /* behind the next */
            buf_add(&other, stream.data + to, end - to);
            buf_add(&other, stream.data + from, to - from);
            buf_add(&other, stream.data + end, stream.len - end);
            ck_assert(!reads_whole(other.data, other.len));
        }
        buf_free(&other);
    }
    told_free(&told);
    buf_free(&stream);
}
END_TEST

START_TEST(it_goes_on_behind_any_block)
{
    struct buf stream = make_stream();
    struct told all = {0};
    find_blocks(&stream, &all);
    for (size_t i = 0; i < all.end_count; i++) {
        size_t end = all.ends[i];
        size_t part = stream.len - end < 9 ? stream.len - end : 9;
        struct told told = {0};
        struct checkpoint_reader *reader = checkpoint_reader_new(&sink, &told);
        ck_assert_int_eq(checkpoint_reader_take(reader, stream.data, end + part), ST_OK);
        ck_assert_uint_eq(checkpoint_reader_offset(reader), end);
        checkpoint_reader_cut(reader);
        ck_assert_int_eq(checkpoint_reader_take(reader, stream.data + end, stream.len - end),
                         ST_OK);
        ck_assert(checkpoint_reader_whole(reader));
        ck_assert_str_eq(buf_text(&told.text), buf_text(&all.text));
        checkpoint_reader_free(reader);
        told_free(&told);
    }
    told_free(&all);
    buf_free(&stream);
}
END_TEST

/* A writer that begins in the middle, from a point, writes what the first would have. */
START_TEST(a_second_writer_continues_the_first)
{
    struct buf stream = make_stream();
    struct told told = {0};
    struct checkpoint_reader *reader = checkpoint_reader_new(&sink, &told);
    struct told all = {0};
    find_blocks(&stream, &all);
    ck_assert_int_eq(checkpoint_reader_take(reader, stream.data, all.ends[2]), ST_OK);
    struct checkpoint_point point = *checkpoint_reader_point(reader);
    struct buf rest = BUF_INIT;
    struct buf entries = BUF_INIT;
    for (int block = 2; block < BLOCKS; block++) {
        add_entries(&entries, block);
        ck_assert_int_eq(checkpoint_block(&rest, &entries, PER_BLOCK, &point), ST_OK);
    }
    ck_assert_int_eq(checkpoint_end(&rest, &point), ST_OK);
    ck_assert_uint_eq(rest.len, stream.len - all.ends[2]);
    ck_assert_int_eq(memcmp(rest.data, stream.data + all.ends[2], rest.len), 0);
    checkpoint_reader_free(reader);
    told_free(&told);
    told_free(&all);
    buf_free(&entries);
    buf_free(&rest);
    buf_free(&stream);
}
END_TEST

/* One block of these entries, its chain in order. */
static bool block_reads(const char *const *keys, size_t count, uint64_t claimed)
{
    struct buf out = BUF_INIT;
    struct buf entries = BUF_INIT;
    struct checkpoint_point point;
    ck_assert_int_eq(checkpoint_begin(&out, &some_head, &point), ST_OK);
    for (size_t i = 0; i < count; i++)
        checkpoint_add(&entries, keys[i], strlen(keys[i]), "v", 1);
    ck_assert_int_eq(checkpoint_block(&out, &entries, claimed, &point), ST_OK);
    ck_assert_int_eq(checkpoint_end(&out, &point), ST_OK);
    bool reads = reads_whole(out.data, out.len);
    buf_free(&entries);
    buf_free(&out);
    return reads;
}

START_TEST(what_a_bad_writer_makes_is_refused)
{
    static const char *const good[] = {"!msequence", "/a", "/ab", "/b"};
    static const char *const same[] = {"/a", "/a"};
    static const char *const back[] = {"/b", "/a"};
    static const char *const none[] = {"", "/a"};
    ck_assert(block_reads(good, 4, 4));
    ck_assert(!block_reads(good, 4, 3)); /* the counts of the end are wrong */
    ck_assert(!block_reads(same, 2, 2));
    ck_assert(!block_reads(back, 2, 2));
    ck_assert(!block_reads(none, 2, 2));
    ck_assert(!block_reads(good, 0, 0)); /* an empty block */
}
END_TEST

START_TEST(what_is_none_is_refused_at_once)
{
    struct told told = {0};
    struct checkpoint_reader *reader = checkpoint_reader_new(&sink, &told);
    char huge[] = "LARDERCP\0\0\0\1H\xff\xff\xff\xff";
    ck_assert_int_eq(checkpoint_reader_take(reader, "#!/bin/sh\necho hello\n", 21), ST_CORRUPT);
    ck_assert_ptr_nonnull(strstr(checkpoint_reader_fault(reader), "no checkpoint"));
    ck_assert_int_eq(checkpoint_reader_take(reader, "x", 1), ST_CORRUPT); /* it stays so */
    checkpoint_reader_reset(reader);
    ck_assert_int_eq(checkpoint_reader_take(reader, "LARDERCP\0\0\0\2", 12), ST_NOT_IMPLEMENTED);
    ck_assert_ptr_nonnull(strstr(checkpoint_reader_fault(reader), "version 2"));
    checkpoint_reader_reset(reader);
    /* Before memory is taken for it. */
    ck_assert_int_eq(checkpoint_reader_take(reader, huge, sizeof huge), ST_CORRUPT);
    ck_assert_ptr_nonnull(strstr(checkpoint_reader_fault(reader), "too large"));
    checkpoint_reader_free(reader);
    told_free(&told);
}
END_TEST

START_TEST(a_refusal_of_the_sink_ends_it)
{
    struct buf stream = make_stream();
    struct told told = {.refusal = ST_NO_SPACE};
    struct checkpoint_reader *reader = checkpoint_reader_new(&sink, &told);
    ck_assert_int_eq(checkpoint_reader_take(reader, stream.data, stream.len), ST_NO_SPACE);
    ck_assert(!checkpoint_reader_whole(reader));
    checkpoint_reader_free(reader);
    told_free(&told);
    buf_free(&stream);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {what_is_written_is_read,
                                  an_empty_index_has_a_checkpoint,
                                  half_a_stream_is_never_whole,
                                  damage_at_any_byte_is_met,
                                  blocks_that_are_lost_doubled_or_moved_are_met,
                                  it_goes_on_behind_any_block,
                                  a_second_writer_continues_the_first,
                                  what_a_bad_writer_makes_is_refused,
                                  what_is_none_is_refused_at_once,
                                  a_refusal_of_the_sink_ends_it,
                                  NULL};
    Suite *suite = suite_create("checkpoint");
    suite_case(suite, "checkpoint", tests);
    return suite_run(suite);
}
