/*
 * What stands on the command line beside options.
 *
 * KEY is written as in a URL: %XX is the byte XX, every other byte stands for itself; the leading
 * '/' may be left off. With --raw it is taken as it is. `larder ls` prints keys so that they can be
 * given back.
 */
#ifndef LARDER_TOOLS_ARGUMENTS_H
#define LARDER_TOOLS_ARGUMENTS_H

#include <stdbool.h>

#include "common/attr.h"

struct key;
struct buf;

/* True where there are `min` to `max` of them; else it has said so. `command` is "larder put". */
bool arguments_fit(const char *command, int count, int min, int max) MUST_CHECK;

/* A command whose only options are --master and --raw. */
struct arguments_command {
    const char *name;  /* "larder get" */
    const char *usage; /* "KEY [FILE|-]" */
    const char *summary;
    int min, max; /* how many arguments */
    /* The exit status. `arg` is the one below; what stands in `texts` is not read yet. */
    int (*run)(void *arg, const char *master, bool raw, char *const *texts, int count);
    void *arg;
};

/* Parses, runs it where the usage is right, and returns the exit status. */
int arguments_run(const struct arguments_command *command, int argc, char **argv);

/* A KEY; false (said) where it is none. */
bool arguments_key(const char *text, bool raw, struct key *key) MUST_CHECK;

/* A PREFIX: a KEY that may be short, even empty; appended to `out` with its leading '/'. */
bool arguments_prefix(const char *text, bool raw, struct buf *out) MUST_CHECK;

#endif
