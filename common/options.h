/*
 * Options of a program: one table makes the parsing of the command line (getopt_long_only, so
 * "-port 3000", "--port 3000" and "-p 3000" are the same), of `--config FILE` ("name = value" a
 * line, a line that begins with '#' is a comment; the command line wins) and the text of --help.
 * For the start of a program, with one thread: getopt has its state in globals.
 */
#ifndef LARDER_COMMON_OPTIONS_H
#define LARDER_COMMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"

enum option_kind {
    OPTION_TEXT, /* char *, allocated; the last one given counts, as of all but lists */
    OPTION_LIST, /* struct option_list: comma-separated, and repeated; empty items are dropped */
    OPTION_UNSIGNED, /* unsigned, within min..max */
    OPTION_DURATION, /* unsigned, milliseconds; "500ms", "1s", "10m", "2h", "30d"; a bare number:
                        seconds */
    OPTION_SIZE,     /* unsigned long long, bytes; "4k", "64M", "1GiB", "1T": powers of 1024 */
    OPTION_FLAG,     /* bool; "--name", "--no-name", "--name=false" */
    OPTION_CHOICE    /* unsigned: the position of the value in `choices` */
};

/* Its memory is freed by options_free(), whoever filled it. */
struct option_list {
    char **items;
    size_t count;
};

/* One option. The table is the caller's, and constant; what `target` points to is its
 * configuration. */
struct option_spec {
    const char *name;
    char letter; /* 0: none */
    enum option_kind kind;
    void *target; /* holds the default when parsing begins; texts must be malloc'ed or NULL */
    unsigned long long min, max; /* of a number; both 0: no limits */
    const char *choices;         /* "full|none" */
    const char *argument;        /* the word in --help: "PORT" */
    const char *help;
};

struct option_program {
    const char *name;     /* "larder-master" */
    const char *synopsis; /* the line after "Usage: NAME ", e.g. "--db DIR [OPTION]..." */
    const char *summary;  /* a sentence or a few */
    const struct option_spec *options;
    size_t count;
};

enum options_result {
    OPTIONS_OK,
    OPTIONS_EXIT, /* --help or --version was asked for and printed: exit 0 */
    OPTIONS_BAD   /* an error was printed to standard error: exit 2 */
};

/* Parses into the targets; *rest is the index of the first argument that is no option. "--config",
 * "--help" and "--version" need not be in the table. Options may stand behind other arguments too:
 * argv is put in order, options first. Also where it fails some targets are set, and options_free()
 * is due. */
enum options_result options_parse(const struct option_program *program, int argc, char **argv,
                                  int *rest) MUST_CHECK;

/* Applies the text of a config file (what --config does; for tests and fuzzing). `origin` is for
 * the messages. False where a line is bad (printed). */
bool options_config(const struct option_program *program, const char *text, size_t len,
                    const char *origin) MUST_CHECK;

/* Frees texts and lists. */
void options_free(const struct option_program *program);

#endif
