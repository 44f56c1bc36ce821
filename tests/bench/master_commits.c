/*
 * How many changes of the index a second: commits DIR CHANGES IN-FLIGHT VALUE-BYTES [ETCD,…]
 * Without etcd through LevelDB's synced write, with it through the log of several masters. Prints
 * JSON: {"operations":N,"seconds":S,"failed":N,"a_write":CHANGES}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "master/cluster.h"
#include "master/config.h"
#include "master/index.h"
#include "master/volumes.h"
#include "master/worker.h"

struct slot {
    struct index_change change;
    unsigned number;
};

static struct {
    struct master master;
    struct config config;
    struct loop *loop;
    struct slot *slots;
    unsigned total, begun, ended, failed, in_flight;
    struct buf text; /* the places of a record */
} bench;

static void committed(void *arg, enum status st);

static void commit_next(struct slot *slot)
{
    char bytes[64];
    struct key key;
    struct record rec;
    int len = snprintf(bytes, sizeof bytes, "/bench/%08u", bench.begun++);
    record_init(&rec);
    if (key_from_bytes(&key, bytes, (size_t)len) ||
        record_decode(&rec, buf_text(&bench.text), bench.text.len, NULL, 0))
        abort();
    index_change_begin(&slot->change, bench.loop, committed, slot);
    index_change_record(&slot->change, &key, &rec);
    index_commit(bench.master.index, &slot->change);
    record_free(&rec);
}

static void committed(void *arg, enum status st)
{
    struct slot *slot = arg;
    bench.failed += st != ST_OK;
    if (++bench.ended == bench.total)
        loop_stop(bench.loop);
    else if (bench.begun < bench.total)
        commit_next(slot);
}

static void start(const char *dir, char *etcd)
{
    struct index_options options = {.path = dir, .sync = true};
    bench.config.listen = "127.0.0.1";
    bench.master.volumes = volumes_new(1, 60000); /* the log may tell of some */
    if (!bench.master.volumes)
        exit(EXIT_FAILURE);
    bench.config.cluster_prefix = "/bench";
    bench.config.session_ttl_ms = 3000;
    bench.config.log_retain_bytes = 256ULL << 20;
    if (etcd) {
        bench.config.cluster.items = calloc(16, sizeof(char *));
        for (char *at = strtok(etcd, ","); at; at = strtok(NULL, ","))
            bench.config.cluster.items[bench.config.cluster.count++] = at;
        if (cluster_new(&bench.master.cluster, &bench.config, &bench.master))
            exit(EXIT_FAILURE);
        options.log = cluster_log(bench.master.cluster);
    }
    if (index_open(&bench.master.index, &options) ||
        (etcd && cluster_start(bench.master.cluster, (uint16_t)getpid())))
        exit(EXIT_FAILURE);
    while (etcd && !cluster_may_write(bench.master.cluster))
        (void)usleep(10000);
}

int main(int argc, char **argv)
{
    if (argc < 5 || !http_client_global_init())
        return EXIT_FAILURE;
    log_set_level(LOG_WARN);
    bench.total = (unsigned)strtoul(argv[2], NULL, 10);
    bench.in_flight = (unsigned)strtoul(argv[3], NULL, 10);
    while (bench.text.len < strtoul(argv[4], NULL, 10))
        buf_addf(&bench.text, "%s127.0.0.1:%zu/sv00", bench.text.len ? "," : "",
                 3000 + bench.text.len);
    bench.loop = loop_new();
    bench.slots = calloc(bench.in_flight, sizeof *bench.slots);
    start(argv[1], argc > 5 ? argv[5] : NULL);
    uint64_t began = loop_now_ms();
    for (unsigned i = 0; i < bench.in_flight && bench.begun < bench.total; i++)
        commit_next(&bench.slots[i]);
    loop_run(bench.loop);
    uint64_t took = loop_now_ms() - began;
    uint64_t changes;
    uint64_t writes;
    index_counters(bench.master.index, &changes, &writes);
    printf("{\"operations\":%u,\"seconds\":%.3f,\"failed\":%u,\"a_write\":%.1f}\n", bench.ended,
           (double)(took ? took : 1) / 1000.0, bench.failed, (double)changes / (double)writes);
    index_stop(bench.master.index);
    cluster_free(bench.master.cluster);
    index_close(bench.master.index);
    loop_free(bench.loop);
    volumes_free(bench.master.volumes);
    return bench.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
