/* Config files: any text is either taken or refused; what was allocated is freed. */
#include "common/options.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Each refusal is printed, a thousand times a second. libFuzzer keeps its own copy of stderr. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    FILE *nowhere = fopen("/dev/null", "w");
    if (nowhere)
        stderr = nowhere;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char *text = NULL;
    struct option_list list = {NULL, 0};
    unsigned number = 3;
    unsigned duration = 1000;
    unsigned long long size = 0;
    bool flag = false;
    unsigned choice = 0;
    const struct option_spec specs[] = {
        {"db", 'd', OPTION_TEXT, &text, 0, 0, NULL, "DIR", "a text"},
        {"volumes", 'v', OPTION_LIST, &list, 0, 0, NULL, "LIST", "a list"},
        {"port", 'p', OPTION_UNSIGNED, &number, 1, 65535, NULL, "PORT", "a number"},
        {"voltimeout", 0, OPTION_DURATION, &duration, 1, 3600000, NULL, "TIME", "a duration"},
        {"max-value", 0, OPTION_SIZE, &size, 0, 0, NULL, "SIZE", "a size"},
        {"overwrite", 0, OPTION_FLAG, &flag, 0, 0, NULL, NULL, "a flag"},
        {"sync", 0, OPTION_CHOICE, &choice, 0, 0, "full|none", "WHAT", "a choice"},
    };
    const struct option_program program = {"fuzz", "", "", specs, sizeof specs / sizeof *specs};
    char *copy = malloc(len ? len : 1);
    if (!copy)
        return 0;
    if (len)
        memcpy(copy, bytes, len);
    bool good = options_config(&program, copy, len, "input");
    check(!good || (number >= 1 && number <= 65535), "a number within its limits");
    check(!good || (duration >= 1 && duration <= 3600000), "a duration within its limits");
    check(choice < 2, "one of the choices");
    options_free(&program);
    free(copy);
    return 0;
}
