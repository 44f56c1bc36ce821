/*
 * Two passes over the command line. The first reports what is no option, answers --help, and reads
 * the config files; the second sets the values of the command line, which so overrule the files'.
 * Every value goes through set_option(), wherever it comes from, so a file takes what the command
 * line takes, with the same messages.
 */
#include "common/options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/durable.h"
#include "common/version.h"

/* What getopt returns for long options: beyond every letter. To the last two the option's position
 * in the table is added, so there may be a thousand. */
enum { CODE_CONFIG = 1000, CODE_HELP, CODE_VERSION, CODE_NEGATED = 2000, CODE_OPTION = 3000 };

/* Says what is wrong with a value, in plain words on standard error: whoever has just typed it
 * reads this. `where` is "--port" or "FILE:3: port". Always false. */
static bool bad_value(const struct option_program *program, const char *where, const char *value,
                      const char *wanted)
{
    (void)fprintf(stderr, "%s: %s: '%s' is not %s\n", program->name, where, value, wanted);
    return false;
}

/* strtoull alone would take a sign and leading spaces: '-1' would be a very large number. */
static bool parse_digits(const char *text, const char **end, unsigned long long *number)
{
    if (!isdigit((unsigned char)*text))
        return false;
    char *stop;
    errno = 0;
    *number = strtoull(text, &stop, 10);
    *end = stop;
    return errno == 0;
}

/* One of "|"-separated words; its position, or -1. */
static int find_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);
    for (int i = 0; *choices; i++) {
        size_t part = strcspn(choices, "|");
        if (part == len && memcmp(choices, value, len) == 0)
            return i;
        choices += part + (choices[part] == '|');
    }
    return -1;
}

/* One number and one unit: '1h30m' is none. False also where the milliseconds do not fit. */
static bool duration_ms(const char *value, unsigned long long *ms)
{
    static const struct {
        const char *unit;
        unsigned long long ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    const char *unit;
    if (!parse_digits(value, &unit, ms))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(unit, units[i].unit) == 0)
            return !__builtin_mul_overflow(*ms, units[i].ms, ms);
    return false;
}

/* One letter, in any case, and behind it nothing, 'B' or 'iB': all mean powers of 1024. */
static bool size_bytes(const char *value, unsigned long long *bytes)
{
    static const char letters[] = "kmgt";
    const char *unit;
    if (!parse_digits(value, &unit, bytes))
        return false;
    if (!*unit || strcmp(unit, "B") == 0)
        return true;
    const char *letter = strchr(letters, tolower((unsigned char)*unit));
    if (!letter || (unit[1] && strcasecmp(unit + 1, "ib") != 0 && strcasecmp(unit + 1, "b") != 0))
        return false;
    unsigned long long scale = 1ULL << (10 * (letter - letters + 1));
    return !__builtin_mul_overflow(*bytes, scale, bytes);
}

/* Two zeros are a row of the table that names no limits. */
static bool in_limits(const struct option_spec *option, unsigned long long number)
{
    return (option->min == 0 && option->max == 0) ||
           (number >= option->min && number <= option->max);
}

/* All kinds that end in a number. Only a size has a target of 64 bits: the others must fit an
 * unsigned, whatever limits the table gives. */
static bool set_number(const struct option_program *program, const struct option_spec *option,
                       const char *where, const char *value)
{
    unsigned long long number = 0;
    const char *end = "";
    const char *wanted = "a whole number";
    bool good;
    if (option->kind == OPTION_DURATION) {
        wanted = "a duration such as 500ms, 1s, 10m, 2h";
        good = duration_ms(value, &number);
    } else if (option->kind == OPTION_SIZE) {
        wanted = "a size such as 4096, 64k, 512MiB, 1G";
        good = size_bytes(value, &number);
    } else {
        good = parse_digits(value, &end, &number) && !*end;
    }
    if (!good)
        return bad_value(program, where, value, wanted);
    bool fits = in_limits(option, number) && (option->kind == OPTION_SIZE || number <= UINT32_MAX);
    if (!fits) {
        char limits[80];
        (void)snprintf(limits, sizeof limits, "between %llu and %llu", option->min,
                       option->max ? option->max : UINT32_MAX);
        return bad_value(program, where, value, limits);
    }
    if (option->kind == OPTION_SIZE)
        *(unsigned long long *)option->target = number;
    else
        *(unsigned *)option->target = (unsigned)number;
    return true;
}

/* The first four words mean false. No value at all ("--name") means true. */
static bool set_flag(const struct option_program *program, const struct option_spec *option,
                     const char *where, const char *value)
{
    static const char words[] = "false|no|off|0|true|yes|on|1";
    int choice = value ? find_choice(words, value) : 4;
    if (choice < 0)
        return bad_value(program, where, value, "true or false");
    *(bool *)option->target = choice >= 4;
    return true;
}

/* The default goes, too: it is malloc'ed like every value. */
static bool set_text(const struct option_spec *option, const char *value)
{
    char **target = option->target;
    char *copy = strdup(value);
    if (!copy)
        return false;
    free(*target);
    *target = copy;
    return true;
}

/* Added to what is there. Where memory ends in between, the list has what fitted, and the start
 * fails. */
static bool add_items(const struct option_spec *option, const char *value)
{
    struct option_list *list = option->target;
    while (*value) {
        value += strspn(value, " \t"); /* "a, b" is a list of "a" and "b" */
        size_t len = strcspn(value, ",");
        size_t word = len;
        while (word && isspace((unsigned char)value[word - 1]))
            word--;
        if (word) {
            char *item = strndup(value, word);
            char **more = realloc(list->items, (list->count + 1) * sizeof *more);
            if (more)
                list->items = more;
            if (!item || !more) {
                free(item);
                return false;
            }
            more[list->count++] = item;
        }
        value += len + (value[len] == ',');
    }
    return true;
}

/* The one way to a value, from the command line or a file. False: it was said why, and the target
 * has what it had (of a list, perhaps a part more). */
static bool set_option(const struct option_program *program, const struct option_spec *option,
                       const char *where, const char *value)
{
    int choice;
    bool memory = true;
    switch (option->kind) {
    case OPTION_FLAG:
        return set_flag(program, option, where, value);
    case OPTION_CHOICE:
        choice = find_choice(option->choices, value);
        if (choice < 0)
            return bad_value(program, where, value, option->choices);
        *(unsigned *)option->target = (unsigned)choice;
        return true;
    case OPTION_TEXT:
        memory = set_text(option, value);
        break;
    case OPTION_LIST:
        memory = add_items(option, value);
        break;
    default:
        return set_number(program, option, where, value);
    }
    if (!memory)
        (void)fprintf(stderr, "%s: %s: out of memory\n", program->name, where);
    return memory;
}

/* --- config file --- */

/* By the whole name: a file is written once and read for years, so abbreviations, as getopt takes
 * them, may become ambiguous there. */
static const struct option_spec *find_option(const struct option_program *program, const char *name)
{
    for (size_t i = 0; i < program->count; i++)
        if (strcmp(program->options[i].name, name) == 0)
            return &program->options[i];
    return NULL;
}

/* In place: the end is cut off, and the result begins within the text. */
static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t len = strlen(text);
    while (len && isspace((unsigned char)text[len - 1]))
        text[--len] = 0;
    return text;
}

/* "name = value", or "name" alone for a flag; "no-name" as on the command line. */
static bool config_line(const struct option_program *program, char *line, const char *origin,
                        unsigned number)
{
    line = trim(line);
    if (!*line || *line == '#')
        return true;
    char *equals = strchr(line, '=');
    if (equals)
        *equals = 0;
    char *name = trim(line);
    char *value = equals ? trim(equals + 1) : NULL;
    char where[300];
    (void)snprintf(where, sizeof where, "%.150s:%u: %.100s", origin, number, name);

    const struct option_spec *option = find_option(program, name);
    if (!option && strncmp(name, "no-", 3) == 0 && !value) {
        option = find_option(program, name + 3);
        if (option && option->kind == OPTION_FLAG)
            value = "false";
        else
            option = NULL;
    }
    if (!option) {
        (void)fprintf(stderr, "%s: %s: there is no such option (see --help)\n", program->name,
                      where);
        return false;
    }
    if (!value && option->kind != OPTION_FLAG) {
        (void)fprintf(stderr, "%s: %s: a value is missing: NAME = VALUE\n", program->name, where);
        return false;
    }
    return set_option(program, option, where, value);
}

/* Ends at the first line that is wrong: what is set by then does not matter, as no program starts
 * with it. */
bool options_config(const struct option_program *program, const char *text, size_t len,
                    const char *origin)
{
    char line[4096];
    unsigned number = 1;
    for (const char *end = text + len; text < end; number++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((stop ? stop : end) - text);
        if (n >= sizeof line || memchr(text, 0, n)) {
            (void)fprintf(stderr, "%s: %s:%u: the line is too long, or no text\n", program->name,
                          origin, number);
            return false;
        }
        memcpy(line, text, n);
        line[n] = 0;
        if (!config_line(program, line, origin, number))
            return false;
        text += n + 1;
    }
    return true;
}

/* Read whole before a line is looked at; the text is gone afterwards, since values are copied. */
static bool read_config(const struct option_program *program, const char *path)
{
    struct buf text = BUF_INIT;
    enum status st = durable_read(AT_FDCWD, path, &text);
    bool good = st == ST_OK;
    if (st)
        (void)fprintf(stderr, "%s: cannot read the config file %s: %s\n", program->name, path,
                      status_text(st));
    else
        good = options_config(program, buf_text(&text), text.len, path);
    buf_free(&text);
    return good;
}

/* --- help --- */

/* Texts begin in one column; an option that is too long for it has a line of its own. */
static void print_option(const struct option_spec *option)
{
    char left[80];
    char letter[8] = "    ";
    if (option->letter)
        (void)snprintf(letter, sizeof letter, "-%c, ", option->letter);
    (void)snprintf(left, sizeof left, "  %s--%s%s%s", letter, option->name,
                   option->argument ? " " : "", option->argument ? option->argument : "");
    if (strlen(left) < 30)
        (void)printf("%-30s %s\n", left, option->help);
    else
        (void)printf("%s\n%31s%s\n", left, "", option->help);
}

/* To standard output: it was asked for. What is wrong goes to standard error. */
static void print_help(const struct option_program *program)
{
    (void)printf("Usage: %s %s\n%s\n\nOptions:\n", program->name, program->synopsis,
                 program->summary);
    for (size_t i = 0; i < program->count; i++)
        print_option(&program->options[i]);
    (void)printf("      --config FILE            options as 'name = value' lines; the command line "
                 "wins\n      --help                   this text\n      --version                "
                 "the version\n\nLong options may begin with one dash. Sizes: 64k, 512MiB, 1G. "
                 "Durations: 500ms, 1s, 10m.\n");
}

/* --- command line --- */

/* getopt's tables, made of ours. */
struct tables {
    struct option *longs;
    char *names; /* the memory of "no-NAME" */
    char *letters;
    bool *given; /* [i]: option i was on the command line */
};

/* Also of tables that were made in part: what is missing is NULL. */
static void free_tables(struct tables *tables)
{
    free(tables->longs);
    free(tables->names);
    free(tables->letters);
    free(tables->given);
}

/* Each option is a long one; a flag is two, since "--no-NAME" is known as well, and takes its value
 * behind '=' only, or the word after it would be taken for one. On failure what was made is
 * free_tables()'s. */
static bool make_tables(const struct option_program *program, struct tables *tables)
{
    enum { NAME_MAX_LEN = 40 };
    tables->longs = calloc(2 * program->count + 4, sizeof *tables->longs);
    tables->names = calloc(program->count + 1, NAME_MAX_LEN);
    tables->letters = calloc(2 * program->count + 2, 1);
    tables->given = calloc(program->count + 1, sizeof *tables->given);
    if (!tables->longs || !tables->names || !tables->letters || !tables->given)
        return false;
    struct option *to = tables->longs;
    char *letter = tables->letters;
    for (size_t i = 0; i < program->count; i++) {
        const struct option_spec *option = &program->options[i];
        bool flag = option->kind == OPTION_FLAG;
        *to++ = (struct option){option->name, flag ? optional_argument : required_argument, NULL,
                                CODE_OPTION + (int)i};
        if (flag) {
            char *name = tables->names + i * NAME_MAX_LEN;
            (void)snprintf(name, NAME_MAX_LEN, "no-%s", option->name);
            *to++ = (struct option){name, no_argument, NULL, CODE_NEGATED + (int)i};
        }
        if (option->letter) {
            *letter++ = option->letter;
            if (!flag)
                *letter++ = ':';
        }
    }
    *to++ = (struct option){"config", required_argument, NULL, CODE_CONFIG};
    *to++ = (struct option){"help", no_argument, NULL, CODE_HELP};
    *to++ = (struct option){"version", no_argument, NULL, CODE_VERSION};
    return true;
}

/* Of what getopt returned: a code of ours, or the option's letter. */
static const struct option_spec *spec_of(const struct option_program *program, int code)
{
    if (code >= CODE_OPTION)
        return &program->options[code - CODE_OPTION];
    if (code >= CODE_NEGATED)
        return &program->options[code - CODE_NEGATED];
    for (size_t i = 0; i < program->count; i++)
        if (program->options[i].letter == code)
            return &program->options[i];
    return NULL;
}

/* Left as an empty list, to which may be added again. */
static void clear_list(struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct option_list){NULL, 0};
}

/* A list on the command line replaces one of the config file, as every other value does; given
 * again, it is added to. */
static void begin_list(const struct option_spec *option, bool *given)
{
    if (option->kind == OPTION_LIST && !*given)
        clear_list(option->target);
    *given = true;
}

/* One pass over the command line. The first only looks for the config files, so that what stands in
 * them can be overruled by what stands beside them. */
static enum options_result pass(const struct option_program *program, const struct tables *tables,
                                int argc, char **argv, bool first)
{
    optind = 0; /* glibc: begin anew */
    int code;
    /* What getopt has to say it says in the first pass only. */
    opterr = first;
    while ((code = getopt_long_only(argc, argv, tables->letters, tables->longs, NULL)) != -1) {
        if (code == '?') {
            if (first)
                (void)fprintf(stderr, "Try '%s --help'.\n", program->name);
            return OPTIONS_BAD;
        }
        if (code == CODE_HELP || code == CODE_VERSION) {
            if (code == CODE_HELP)
                print_help(program);
            else
                (void)printf("%s %s\n", program->name, LARDER_VERSION);
            return OPTIONS_EXIT;
        }
        if (code == CODE_CONFIG) {
            if (first && !read_config(program, optarg))
                return OPTIONS_BAD;
            continue;
        }
        if (first)
            continue;
        const struct option_spec *option = spec_of(program, code);
        begin_list(option, &tables->given[option - program->options]);
        bool negated = code >= CODE_NEGATED && code < CODE_OPTION;
        char where[80];
        (void)snprintf(where, sizeof where, "--%s", option->name);
        if (!set_option(program, option, where, negated ? "false" : optarg))
            return OPTIONS_BAD;
    }
    return OPTIONS_OK;
}

/* The files come first and the command line second, so the later simply replaces: no value needs to
 * know where it came from. */
enum options_result options_parse(const struct option_program *program, int argc, char **argv,
                                  int *rest)
{
    struct tables tables = {0};
    enum options_result result = OPTIONS_BAD;
    if (make_tables(program, &tables)) {
        result = pass(program, &tables, argc, argv, true);
        if (result == OPTIONS_OK)
            result = pass(program, &tables, argc, argv, false);
        *rest = optind;
    } else {
        (void)fprintf(stderr, "%s: out of memory\n", program->name);
    }
    free_tables(&tables);
    return result;
}

/* Only texts and lists own memory. Afterwards they are empty, so twice does no harm. */
void options_free(const struct option_program *program)
{
    for (size_t i = 0; i < program->count; i++) {
        const struct option_spec *option = &program->options[i];
        if (option->kind == OPTION_TEXT) {
            char **text = option->target;
            free(*text);
            *text = NULL;
        } else if (option->kind == OPTION_LIST) {
            clear_list(option->target);
        }
    }
}
