"""Reads while all copies but one stand still (SIGSTOP): how long readers wait who were sent to a volume
that had just frozen, and give up on it as `curl --max-time` does."""
import queue
import random
import threading
import time
import unittest

import means
from store import FaultTest, poll

LIMIT = 1.0  # seconds that a reader waits for one answer before it begins anew at the master
GOAL = 2.0  # seconds; 99 of 100 reads take no longer, from their first try on
REPLICAS = 3
RATE = 80  # reads a second
FROZEN = 4.0  # seconds; a read is counted that began in this time


class Read:
    """One read that is due at a time, however long those before it take: nobody who hangs slows down
    those who come after, so each of them is counted."""

    __slots__ = ("key", "due", "took", "tries")

    def __init__(self, key, due):
        self.key, self.due, self.took, self.tries = key, due, None, 0


class Readers:
    """So many threads that there is always one for a read that is due."""

    def __init__(self, store, keys, count=160):
        self.store, self.keys, self.waiting = store, keys, queue.SimpleQueue()
        self.threads = [threading.Thread(target=self._run, args=(n,), daemon=True)
                        for n in range(count)]
        for thread in self.threads:
            thread.start()

    def close(self):
        for _ in self.threads:
            self.waiting.put(None)
        for thread in self.threads:
            thread.join(60)

    def for_seconds(self, seconds, rng):
        """The reads of so many seconds, all done."""
        reads, began = [], time.monotonic()
        for number in range(int(seconds * RATE)):
            due = began + number / RATE
            time.sleep(max(0, due - time.monotonic()))
            reads.append(Read(rng.choice(self.keys), due))
            self.waiting.put(reads[-1])
        return reads

    @staticmethod
    def finish(reads):
        poll("all reads are done", 60, lambda: all(r.took is not None for r in reads))
        return reads

    def _run(self, number):
        client = self.store.new_client("r%d" % number)
        client.timeout = LIMIT
        while True:
            read = self.waiting.get()
            if read is None:
                break
            try:
                self._until_read(client, read)
            except Exception as e:
                self.store.history.complain("failures", "a reader broke: %r" % e)
                read.took = float("inf")
        client.close()

    def _until_read(self, client, read):
        """Tries until the value is there. Each try has a connection of its own to a volume, as curl
        has: one that was kept from better times would only hide what a new reader sees."""
        while read.tries < 20:
            read.tries += 1
            status = client.get(read.key)
            client.close()
            if status == 200:
                break
            if status:  # 503: all volumes seem to be down; it asks again after a moment
                time.sleep(0.1)
        else:
            self.store.history.complain("failures", "%s could not be read" % read.key)
        read.took = time.monotonic() - read.due


class FrozenReadsTest(FaultTest):
    def test_all_but_one(self):
        rounds = means.rounds(3, 30)
        rng, store = random.Random(self.seed), self.new_store(volumes=REPLICAS)
        client = store.new_client("one")
        keys = ["/f/%d" % n for n in range(30)]
        for key in keys:
            client.put(key, rng.choice((300, 5000, 60000)))
        client.close()
        store.settle()
        readers = Readers(store, keys)
        calm = Readers.finish(readers.for_seconds(1, rng))
        reads = []
        for number in range(rounds):
            reads += self.round(store, rng, readers)
        readers.close()
        took = sorted(r.took for r in reads)
        p99, hung = took[int(len(took) * 0.99)], sum(r.tries > 1 for r in reads)
        notes = "%d reads from the moment on, %d of them hung at first: p50 %.3f s, p99 %.2f s, " \
            "longest %.2f s; before: longest %.2f s" % (
                len(took), hung, took[len(took) // 2], p99, took[-1], max(r.took for r in calm))
        print(notes)
        self.end(store, "reads with %d of %d copies frozen" % (REPLICAS - 1, REPLICAS), rounds,
                 notes)
        self.assertGreater(hung, 0)  # else nobody was ever sent to a volume that stood still
        self.assertLessEqual(p99, GOAL)

    def round(self, store, rng, readers):
        """All but one stop at once, at a random moment of the master's checks."""
        store.volumes_up()
        warm = readers.for_seconds(0.2 + rng.random() * 0.5, rng)
        victims = rng.sample(store.volumes, REPLICAS - 1)
        for victim in victims:
            victim.pause()
        try:
            reads = readers.for_seconds(FROZEN, rng)
            Readers.finish(reads)
        finally:
            for victim in victims:
                victim.resume()
        Readers.finish(warm)
        return reads


if __name__ == "__main__":
    unittest.main()
