#include "volume/called.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/durable.h"
#include "common/log.h"

#define FILE_NAME "name"

struct called {
    int dir_fd;
    pthread_mutex_t writing; /* held while the file is written: one at a time */
    pthread_mutex_t lock;    /* for the name, and only for a moment: loops take it */
    char name[VOLUME_NAME_MAX + 1];
};

/* A line; whatever else is there is no name of ours. */
static void read_name(struct called *called)
{
    struct buf text = BUF_INIT;
    enum status st = durable_read(called->dir_fd, FILE_NAME, &text);
    size_t len = text.len;
    if (!st && len && text.data[len - 1] == '\n')
        len--;
    if (!st)
        st = placement_volume_name(buf_text(&text), len, called->name) ? ST_CORRUPT : ST_OK;
    if (st && st != ST_NOT_FOUND)
        log_event(LOG_WARN, "called",
                  "doing=\"read .larder/name\" error=\"%s\" advice=\"the master tells it again\"",
                  status_text(st));
    if (st)
        called->name[0] = 0;
    buf_free(&text);
}

struct called *called_new(int dir_fd)
{
    struct called *called = calloc(1, sizeof *called);
    if (!called)
        return NULL;
    called->dir_fd = dir_fd;
    if (pthread_mutex_init(&called->writing, NULL))
        goto no_writing;
    if (pthread_mutex_init(&called->lock, NULL))
        goto no_lock;
    read_name(called);
    return called;

no_lock:
    (void)pthread_mutex_destroy(&called->writing);
no_writing:
    free(called);
    return NULL;
}

void called_free(struct called *called)
{
    if (!called)
        return;
    (void)pthread_mutex_destroy(&called->lock);
    (void)pthread_mutex_destroy(&called->writing);
    free(called);
}

void called_get(struct called *called, char name[VOLUME_NAME_MAX + 1])
{
    (void)pthread_mutex_lock(&called->lock);
    memcpy(name, called->name, sizeof called->name);
    (void)pthread_mutex_unlock(&called->lock);
}

static enum status write_name(struct called *called, const char *name)
{
    char line[VOLUME_NAME_MAX + 2];
    int len = snprintf(line, sizeof line, "%s\n", name);
    return durable_write(called->dir_fd, FILE_NAME, line, (size_t)len);
}

/* The file first: what health says is what a restart would find. */
enum status called_set(struct called *called, const char *name)
{
    char before[VOLUME_NAME_MAX + 1];
    (void)pthread_mutex_lock(&called->writing);
    called_get(called, before);
    enum status st = strcmp(before, name) == 0 ? ST_OK : write_name(called, name);
    if (!st) {
        (void)pthread_mutex_lock(&called->lock);
        memcpy(called->name, name, strlen(name) + 1);
        (void)pthread_mutex_unlock(&called->lock);
    }
    (void)pthread_mutex_unlock(&called->writing);
    if (!st && strcmp(before, name) != 0)
        log_event(LOG_INFO, "called", "name=%s before=%s", name, before[0] ? before : "-");
    return st;
}
