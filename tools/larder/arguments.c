/*
 * From what people type to the bytes of a key. Two rules meet here: on the command line a key is
 * what `larder ls` prints (percent-encoded, safe in any shell), and in the store it is bytes that
 * begin with '/'. All commands go through here, so all of them take a key alike.
 */
#include "tools/larder/arguments.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/key.h"
#include "common/options.h"
#include "tools/larder/commands.h"
#include "tools/larder/say.h"

/* The name of the command is put before the message without "larder ", which say_error() adds. */
bool arguments_fit(const char *command, int count, int min, int max)
{
    if (count >= min && count <= max)
        return true;
    say_error("%s: %s; see '%s --help'", command + strlen("larder "),
              count < min ? "an argument is missing" : "there are too many arguments", command);
    return false;
}

/* Appends the bytes that the text stands for; false for a broken escape, or without memory.
 * Decoding never makes it longer. */
static bool add_decoded(struct buf *out, const char *text, size_t len)
{
    char *decoded = malloc(len + 1);
    long n = decoded ? key_decode(decoded, len, text, len) : -1;
    if (n > 0)
        buf_add(out, decoded, (size_t)n);
    free(decoded);
    return n >= 0;
}

/* "%2f" at the beginning is a slash as well: other tools may write it so. */
bool arguments_prefix(const char *text, bool raw, struct buf *out)
{
    bool good = true;
    size_t len = strlen(text);
    bool has_slash = *text == '/' || (!raw && strncasecmp(text, "%2f", 3) == 0);
    if (!has_slash)
        buf_addc(out, '/');
    if (raw)
        buf_add(out, text, len);
    else
        good = add_decoded(out, text, len);
    if (!good)
        say_error("'%s' is no key: a %% must be followed by two hex digits. Write a %% itself as "
                  "%%25, or use --raw",
                  text);
    return good && buf_ok(out);
}

/* What makes a key is common/key's to say; here is only the message. */
bool arguments_key(const char *text, bool raw, struct key *key)
{
    struct buf bytes = BUF_INIT;
    bool good = arguments_prefix(text, raw, &bytes);
    if (good && key_from_bytes(key, bytes.data, bytes.len)) {
        say_error("'%.100s' is no key: a key has 1 to %d bytes after its '/', none of them a NUL",
                  text, KEY_MAX - 1);
        good = false;
    }
    buf_free(&bytes);
    return good;
}

/* For commands without options of their own; the others have tables in their files. */
int arguments_run(const struct arguments_command *command, int argc, char **argv)
{
    char *master = NULL;
    bool raw = false;
    const struct option_spec options[] = {
        {"master", 'm', OPTION_TEXT, &master, 0, 0, NULL, "URL", "the master"},
        {"raw", 0, OPTION_FLAG, &raw, 0, 0, NULL, NULL, "KEY is not percent-encoded"},
    };
    const struct option_program program = {command->name, command->usage, command->summary, options,
                                           sizeof options / sizeof options[0]};
    int rest = 0;
    enum options_result parsed = options_parse(&program, argc, argv, &rest);
    int result = parsed == OPTIONS_EXIT ? EXIT_WELL : EXIT_TROUBLE;
    if (parsed == OPTIONS_OK &&
        arguments_fit(command->name, argc - rest, command->min, command->max))
        result = command->run(command->arg, master, raw, argv + rest, argc - rest);
    options_free(&program);
    return result;
}
