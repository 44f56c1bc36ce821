/*
 * Makes and reads LevelDB databases as minikeyvalue keeps them, for the tests.
 * Usage: mkvdb put DIR   reads "KEY<TAB>VALUE" lines from standard input
 *        mkvdb dump DIR  writes such lines, in the order of the keys
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ldb.h"

static int put_all(struct ldb *db)
{
    struct ldb_batch *batch = ldb_batch_new();
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    int bad = batch == NULL;
    while (!bad && (len = getline(&line, &room, stdin)) > 0) {
        if (line[len - 1] == '\n')
            line[--len] = 0;
        char *tab = memchr(line, '\t', (size_t)len);
        if (tab)
            ldb_batch_put(batch, line, (size_t)(tab - line), tab + 1,
                          (size_t)(line + len - tab - 1));
        else
            bad = 1;
    }
    if (!bad)
        bad = ldb_write(db, batch, true, NULL) != ST_OK;
    free(line);
    ldb_batch_free(batch);
    return bad;
}

static int dump_all(struct ldb *db)
{
    struct ldb_iter *iter = ldb_iter_new(db);
    if (!iter)
        return 1;
    for (ldb_iter_seek(iter, "", 0); ldb_iter_valid(iter); ldb_iter_next(iter)) {
        size_t len;
        const char *text = ldb_iter_key(iter, &len);
        (void)fwrite(text, 1, len, stdout);
        (void)fputc('\t', stdout);
        text = ldb_iter_value(iter, &len);
        (void)fwrite(text, 1, len, stdout);
        (void)fputc('\n', stdout);
    }
    int bad = ldb_iter_status(iter) != ST_OK;
    ldb_iter_free(iter);
    return bad;
}

int main(int argc, char **argv)
{
    if (argc != 3 || (strcmp(argv[1], "put") != 0 && strcmp(argv[1], "dump") != 0)) {
        (void)fprintf(stderr, "Usage: mkvdb put|dump DIR\n");
        return 2;
    }
    struct ldb_options options = {.create = argv[1][0] == 'p'};
    struct ldb *db;
    char *error = NULL;
    if (ldb_open(&db, argv[2], &options, &error)) {
        (void)fprintf(stderr, "mkvdb: %s\n", error ? error : "cannot open the database");
        free(error);
        return 1;
    }
    int bad = argv[1][0] == 'p' ? put_all(db) : dump_all(db);
    ldb_close(db);
    return bad;
}
