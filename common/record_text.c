/*
 * Records as the index keeps them: reading and writing the two texts of a key. PROTOCOL.md,
 * 'Index', has the formats.
 *
 * Reading is strict: what no version wrote is ST_CORRUPT, and never half believed. A record of
 * which a part was passed over would look as if a copy, or work to do, had never been; and what is
 * written back from it would make that true.
 *
 * Writing prefers minikeyvalue's form wherever it says all there is to say, so that its master can
 * take the index over. One text for one record: masters compare their indexes byte by byte.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/record.h"

enum { PLACE_MAX = VOLUME_NAME_MAX + 15 };

/* --- text: pieces --- */

/* What is left of a text that is being read. */
struct text {
    const char *at;
    const char *end;
};

/* The piece up to the next `stop` (or the end), which is skipped. False at the end of the text. */
static bool next_piece(struct text *text, char stop, const char **piece, size_t *len)
{
    if (text->at >= text->end)
        return false;
    const char *found = memchr(text->at, stop, (size_t)(text->end - text->at));
    *piece = text->at;
    *len = (size_t)((found ? found : text->end) - text->at);
    text->at += *len + 1;
    return true;
}

/* Pieces are not terminated. */
static bool is_word(const char *piece, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(piece, word, len) == 0;
}

/* Decimal digits alone. 20 of them can be too many for 64 bits, hence the second look. */
static bool parse_number(const char *piece, size_t len, uint64_t *number)
{
    if (len == 0 || len > 20)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(piece[i] - '0');
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = value;
    return true;
}

/* Without a third kind: what is neither word is no record of ours. */
static bool parse_naming(const char *piece, size_t len, enum naming *naming)
{
    *naming = is_word(piece, len, "mkv") ? NAMING_MKV : NAMING_LARDER;
    return *naming == NAMING_MKV || is_word(piece, len, "larder");
}

/* A place stands in lists and URLs: printable, and no separators. */
static bool good_place(const char *piece, size_t len)
{
    if (len == 0 || len > PLACE_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)piece[i] <= ' ' || (unsigned char)piece[i] >= 0x7f || piece[i] == ',')
            return false;
    return true;
}

/* Hands a place to one of the record's lists. */
static enum status take_place(struct record *rec, const char *piece, size_t len,
                              enum status (*add)(struct record *rec, const char *place))
{
    char place[PLACE_MAX + 1];
    if (!good_place(piece, len))
        return ST_CORRUPT;
    memcpy(place, piece, len);
    place[len] = 0;
    return add(rec, place);
}

/* Taken over in lower case, whatever minikeyvalue or somebody's tool wrote. */
static bool parse_hash(struct record_view *view, const char *piece, size_t len)
{
    if (len != MD5_HEX)
        return false;
    char hex[MD5_HEX + 1];
    memcpy(hex, piece, len);
    hex[len] = 0;
    return md5_parse(hex, view->md5) == 0;
}

/* --- the version that readers see: what stands before its places --- */

/* [DELETED][HASH<32 hex>]place,place,… ; `text` begins at the places afterwards. */
static enum status decode_mkv(struct record_view *view, struct text *text)
{
    view->state = KEY_LIVE;
    view->naming = NAMING_MKV;
    size_t len = (size_t)(text->end - text->at);
    if (len >= 7 && memcmp(text->at, "DELETED", 7) == 0) {
        view->state = KEY_UNLINKED;
        text->at += 7;
        len -= 7;
    }
    if (len >= 4 + MD5_HEX && memcmp(text->at, "HASH", 4) == 0) {
        if (!parse_hash(view, text->at + 4, MD5_HEX))
            return ST_CORRUPT;
        text->at += 4 + MD5_HEX;
    }
    return ST_OK;
}

/* L1 STATE GENERATION NAMING MD5 place,place,… ; `text` begins behind "L1 ", afterwards at the
 * places. */
static enum status decode_v1(struct record_view *view, struct text *text)
{
    const char *piece[4];
    size_t len[4];
    for (int i = 0; i < 4; i++)
        if (!next_piece(text, ' ', &piece[i], &len[i]))
            return ST_CORRUPT;
    if (is_word(piece[0], len[0], "live"))
        view->state = KEY_LIVE;
    else if (is_word(piece[0], len[0], "unlinked"))
        view->state = KEY_UNLINKED;
    else
        return ST_CORRUPT;
    if (!parse_number(piece[1], len[1], &view->generation) ||
        !parse_naming(piece[2], len[2], &view->naming) ||
        (!is_word(piece[3], len[3], "-") && !parse_hash(view, piece[3], len[3])))
        return ST_CORRUPT;
    return ST_OK;
}

/* What both forms begin with; *text is what is left, the list of places. */
static enum status decode_head(struct record_view *view, struct text *text)
{
    memset(view, 0, offsetof(struct record_view, places)); /* the places are written before they are
                                                              counted */
    view->place_count = 0;
    if (text->end - text->at < 3 || memcmp(text->at, "L1 ", 3) != 0)
        return decode_mkv(view, text);
    text->at += 3;
    return decode_v1(view, text);
}

/* The hot path of a GET: nothing is allocated, so the places are cut out of the text itself by
 * NULs. A record without a place is damaged: whoever is visible has a copy somewhere. */
enum status record_look(struct record_view *view, char *value, size_t len)
{
    struct text text = {value, value + len};
    enum status st = decode_head(view, &text);
    const char *piece;
    size_t piece_len;
    value[len] = 0;
    while (!st && next_piece(&text, ',', &piece, &piece_len)) {
        if (view->place_count == RECORD_COPIES_MAX || !good_place(piece, piece_len))
            return ST_CORRUPT;
        value[piece + piece_len - value] = 0; /* the comma, or the NUL at the end */
        view->places[view->place_count++] = piece;
    }
    return st || view->place_count ? st : ST_CORRUPT;
}

/* The same into a record, which copies the places. */
static enum status decode_version(struct record *rec, const char *value, size_t len)
{
    struct record_view view;
    struct text text = {value, value + len};
    enum status st = decode_head(&view, &text);
    const char *piece;
    size_t piece_len;
    if (st)
        return st;
    rec->state = view.state;
    rec->generation = view.generation;
    rec->naming = view.naming;
    memcpy(rec->md5, view.md5, sizeof view.md5);
    while (!st && next_piece(&text, ',', &piece, &piece_len))
        st = rec->place_count == RECORD_COPIES_MAX
                 ? ST_CORRUPT
                 : take_place(rec, piece, piece_len, record_add_place);
    return st || rec->place_count ? st : ST_CORRUPT;
}

static void add_list(struct buf *out, char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_addc(out, ',');
        buf_adds(out, list[i]);
    }
}

static const char *naming_text(enum naming naming)
{
    return naming == NAMING_MKV ? "mkv" : "larder";
}

/* Whether minikeyvalue's form says all there is to say, and is not misread: a place must not look
 * like one of its markers. */
static bool fits_mkv(const struct record *rec, const struct key *key)
{
    if (rec->generation || (rec->naming != NAMING_MKV && !name_same(key)))
        return false;
    return rec->place_count && strncmp(rec->places[0], "DELETED", 7) != 0 &&
           strncmp(rec->places[0], "HASH", 4) != 0;
}

/* False where there is nothing to be seen of the key: its value is removed then. */
bool record_encode(const struct record *rec, const struct key *key, struct buf *out)
{
    if (rec->state != KEY_LIVE && rec->state != KEY_UNLINKED)
        return false;
    bool unlinked = rec->state == KEY_UNLINKED;
    if (fits_mkv(rec, key)) {
        buf_adds(out, unlinked ? "DELETED" : "");
        if (rec->md5[0])
            buf_addf(out, "HASH%s", rec->md5);
    } else {
        buf_addf(out, "L1 %s %llu %s %s ", unlinked ? "unlinked" : "live",
                 (unsigned long long)rec->generation, naming_text(rec->naming),
                 rec->md5[0] ? rec->md5 : "-");
    }
    add_list(out, rec->places, rec->place_count);
    return true;
}

/* --- what is still to do --- */

/* garbage GENERATION NAMING place ; `text` begins behind "garbage ". */
static enum status decode_garbage(struct record *rec, struct text text, uint64_t due)
{
    const char *piece[3];
    size_t len[3];
    uint64_t generation;
    enum naming naming;
    for (int i = 0; i < 3; i++)
        if (!next_piece(&text, ' ', &piece[i], &len[i]))
            return ST_CORRUPT;
    if (!parse_number(piece[0], len[0], &generation) || !parse_naming(piece[1], len[1], &naming) ||
        !good_place(piece[2], len[2]) || text.at < text.end)
        return ST_CORRUPT;
    char place[PLACE_MAX + 1];
    memcpy(place, piece[2], len[2]);
    place[len[2]] = 0;
    return record_add_late_garbage(rec, generation, naming, place, due);
}

/* `due` is that of the garbage that follows, as the lines so far say. */
static enum status decode_work_line(struct record *rec, const char *line, size_t line_len,
                                    uint64_t *due)
{
    struct text text = {line, line + line_len};
    const char *word;
    size_t len;
    if (!next_piece(&text, ' ', &word, &len))
        return ST_CORRUPT;
    const char *rest = text.at;
    size_t rest_len = text.at < text.end ? (size_t)(text.end - text.at) : 0;
    if (is_word(word, len, "due"))
        return parse_number(rest, rest_len, due) ? ST_OK : ST_CORRUPT;
    if (is_word(word, len, "tombstone")) {
        rec->has_tombstone = true;
        return parse_number(rest, rest_len, &rec->tombstone) ? ST_OK : ST_CORRUPT;
    }
    if (is_word(word, len, "few")) {
        uint64_t left = 0;
        rec->few_copies = true;
        if (rest_len && (!parse_number(rest, rest_len, &left) || left > RECORD_COPIES_MAX))
            return ST_CORRUPT;
        rec->few_left = (unsigned)left;
        return ST_OK;
    }
    if (is_word(word, len, "suspect")) {
        rec->suspect = true;
        return rest_len ? ST_CORRUPT : ST_OK;
    }
    if (is_word(word, len, "since"))
        return parse_number(rest, rest_len, &rec->since) ? ST_OK : ST_CORRUPT;
    if (is_word(word, len, "garbage"))
        return decode_garbage(rec, text, *due);
    if (is_word(word, len, "holder"))
        return take_place(rec, rest, rest_len, record_add_holder);
    if (is_word(word, len, "maybe"))
        return take_place(rec, rest, rest_len, record_add_maybe);
    return ST_CORRUPT;
}

/* A line that is not known ends it, even if a later version wrote it: going on would lose that line
 * with the next write. */
static enum status decode_work(struct record *rec, const char *work, size_t work_len)
{
    struct text text = {work, work + work_len};
    const char *line;
    size_t len;
    uint64_t due = 0;
    if (!next_piece(&text, '\n', &line, &len) || !is_word(line, len, "W1"))
        return ST_CORRUPT;
    while (next_piece(&text, '\n', &line, &len)) {
        enum status st = decode_work_line(rec, line, len, &due);
        if (st)
            return st;
    }
    return ST_OK;
}

/* False where nothing is to be done: the work is removed then. PENDING has a text of its own even
 * where it says nothing, since that it is there is what it says. */
bool record_encode_work(const struct record *rec, struct buf *out)
{
    bool pending = rec->state == KEY_PENDING;
    bool repair = rec->few_copies || rec->suspect;
    if (!pending && !rec->has_tombstone && !repair && !rec->garbage.count && !rec->holder_count &&
        !rec->maybe_count)
        return false;
    buf_adds(out, "W1\n");
    if (rec->has_tombstone)
        buf_addf(out, "tombstone %llu\n", (unsigned long long)rec->tombstone);
    /* How many are left stands in the work too, so that the janitor finds those first that have the
     * fewest, without a look at the versions. */
    if (rec->few_copies)
        buf_addf(out, "few %zu\n", rec->place_count);
    if (rec->suspect)
        buf_adds(out, "suspect\n");
    if (repair && rec->since)
        buf_addf(out, "since %llu\n", (unsigned long long)rec->since);
    uint64_t due = 0;
    for (size_t i = 0; i < rec->garbage.count; i++) {
        const struct copy *copy = &rec->garbage.list[i];
        if (copy->due != due)
            buf_addf(out, "due %llu\n", (unsigned long long)copy->due);
        due = copy->due;
        buf_addf(out, "garbage %llu %s %s\n", (unsigned long long)copy->generation,
                 naming_text(copy->naming), copy->place);
    }
    for (size_t i = 0; i < rec->holder_count; i++)
        buf_addf(out, "holder %s\n", rec->holders[i]);
    for (size_t i = 0; i < rec->maybe_count; i++)
        buf_addf(out, "maybe %s\n", rec->maybes[i]);
    return true;
}

/* --- both together --- */

/* The state follows from which of the two are there (PROTOCOL.md, 'State of a key'). */
enum status record_decode(struct record *rec, const char *value, size_t value_len, const char *work,
                          size_t work_len)
{
    enum status st = value ? decode_version(rec, value, value_len) : ST_OK;
    if (!st && work)
        st = decode_work(rec, work, work_len);
    if (!st && !value && work)
        rec->state = rec->has_tombstone ? KEY_DELETED : KEY_PENDING;
    if (st)
        record_free(rec);
    return st;
}
