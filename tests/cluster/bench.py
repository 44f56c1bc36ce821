"""A small benchmark: a master and three volumes on this machine, clients that each wait for their
answer, beside what the disk does by itself in the same run. The clients are Python and share the
processors with the servers, so this is a floor, and for comparing one commit with another.
"""
import multiprocessing
import os
import sys
import tempfile
import threading
import time

import http11
from harness import Client, Cluster

KIB, MIB = 1024, 1024 * 1024
CLIENTS = 16


def raw_files(folder, size, seconds, threads):
    """Files a second, each made durable as a volume does: write, fsync, rename, fsync the directory."""
    value, counts = os.urandom(size), [0] * threads
    end = time.monotonic() + seconds

    def work(number):
        home = os.path.join(folder, str(number))
        os.mkdir(home)
        fd_dir = os.open(home, os.O_RDONLY)
        while time.monotonic() < end:
            path = os.path.join(home, str(counts[number]))
            fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT, 0o644)
            os.write(fd, value)
            os.fsync(fd)
            os.close(fd)
            os.rename(path + ".new", path)
            os.fsync(fd_dir)
            counts[number] += 1
        os.close(fd_dir)
    workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.monotonic() - began)


def client_work(url, number, method, size, seconds, known, results):
    """One client: puts new keys, or gets those that were put; its latencies go into the queue."""
    client, value, took = Client(), os.urandom(size), []
    count, failed = 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        key = count if method == "PUT" else count % max(1, known[number])
        path = "%s/bench/%d/%d/%d" % (url, size, number, key)
        began = time.monotonic()
        answer = client.request(method, path, value if method == "PUT" else None)
        took.append(time.monotonic() - began)
        failed += answer.status not in (200, 201)
        count += 1
    results.put((number, count, failed, took))


def run_clients(url, method, size, seconds, known):
    """All clients at once: requests a second, and the sorted latencies."""
    results = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=client_work, args=(
        url, i, method, size, seconds, known, results)) for i in range(CLIENTS)]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    done = [results.get() for _ in workers]
    seconds = time.monotonic() - began
    for worker in workers:
        worker.join()
    for number, count, _, _ in done:
        if method == "PUT":
            known[number] = count
    return (sum(d[1] for d in done) / seconds, sorted(t for d in done for t in d[3]),
            sum(d[2] for d in done))


def name_of(size):
    return "%d MiB" % (size // MIB) if size >= MIB else "%d KiB" % (size // KIB)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    print("%d processors, files in %s; %g s each" % (os.cpu_count(), http11.temp_root(), seconds))
    for size in (KIB, MIB):
        for threads in (1, 32):
            with tempfile.TemporaryDirectory(prefix="larder-bench.") as folder:
                rate = raw_files(folder, size, seconds, threads)
            print("disk alone, %d threads, durable files of %s: %.0f/s, %.1f MiB/s" % (
                threads, name_of(size), rate, rate * size / MIB))
    for replicas in (1, 3):
        cluster = Cluster(volumes=3, replicas=replicas)
        try:
            for size in (KIB, MIB):
                known = [0] * CLIENTS
                for method in ("PUT", "GET"):
                    rate, took, failed = run_clients(cluster.url, method, size, seconds, known)
                    print("%d replicas, %d clients, %s %s: %.0f/s, %.1f MiB/s, median %.1f ms, "
                          "99%% %.1f ms%s" % (
                              replicas, CLIENTS, method, name_of(size), rate, rate * size / MIB,
                              took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000,
                              ", %d FAILED" % failed if failed else ""))
        finally:
            cluster.close()


if __name__ == "__main__":
    main()
