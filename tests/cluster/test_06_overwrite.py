"""--overwrite: whoever reads gets the old value or the new one, whole, at any moment."""
import os
import random
import threading
import time
import unittest

from harness import SANITIZED, SLOW, Client, ClusterTest, file_path, key_of_path, md5, poll


def make_value(number, size):
    """A value that tells its number and whether it is whole."""
    text = b"%d:" % number
    body = text * (size // len(text) + 1)
    return md5(body).encode() + body


def check_value(value):
    """Its number; fails where it is torn."""
    if md5(value[32:]).encode() != value[:32]:
        raise AssertionError("torn value: %r... of %d bytes" % (value[:50], len(value)))
    return int(value[32:].split(b":")[0])


class OverwriteTest(ClusterTest):
    OPTIONS = {"volumes": 3, "master_options": ["--overwrite", "--grace", "100ms"]}

    def generations(self, key):
        """Of the files that are on the disks, one for each copy."""
        found = []
        for volume in self.cluster.volumes:
            for path in self.cluster.files(volume):
                of, generation = key_of_path("/" + path.partition("/")[2])
                if of == key.encode():
                    found.append(generation)
        return sorted(found)

    def test_new_value_replaces_the_old(self):
        c, key = self.cluster, self.key()
        for i in range(5):
            value = make_value(i, 1000 * i)
            self.soon(lambda: c.put(key, value), 201)
            answer = self.expect(c.get(key), 200)
            self.assertEqual(answer.body, value)
            self.assertEqual(answer.hops[0][1]["content-md5"], md5(value))
        record = c.record(key)
        self.assertGreater(record["generation"], 0)
        self.assertIn("." + str(record["generation"]), answer.hops[0][1]["location"])
        poll("the old versions are gone", 30 * SLOW,
             lambda: self.generations(key) == [record["generation"]] * 3)
        self.assertEqual(c.list(key)["keys"], [key])
        self.soon(lambda: c.delete(key), 204)
        self.expect(c.get(key), 404)
        poll("all versions are gone", 30 * SLOW, lambda: self.generations(key) == [])

    def test_old_versions_go_while_the_key_is_written_all_the_time(self):
        c, key, writes, most = self.cluster, self.key(), 0, 0

        def write_on():
            """The janitor works in turns beside writers: 300 writes may be over before one comes.
            Who then writes on is told to wait (503) where two thousand copies are still to go."""
            nonlocal writes, most
            for _ in range(20):
                answer = self.soon(lambda: c.put(key, make_value(writes, 100)),
                                   *((201,) if writes < 300 else (201, 503)))
                writes += answer.status == 201
            most = max(most, len(self.generations(key)))
            return writes >= 300 and most < 3 * writes * 2 // 3
        poll("old versions go while the key is written", 60 * SLOW, write_on, every=0)
        poll("the old versions are gone", 30 * SLOW, lambda: len(self.generations(key)) == 3)
        self.assertEqual(check_value(self.expect(c.get(key), 200).body), writes - 1)

    def test_refused_overwrite_keeps_the_old(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, "old"), 201)
        self.expect(c.put(key, "new", Content_MD5=md5(b"other")), 422)
        self.expect(c.put(key, ""), 411)
        self.assertEqual(self.expect(c.get(key), 200).body, b"old")
        c.wait_idle()
        self.assertEqual(self.generations(key), [0, 0, 0])

    def test_overwrite_after_unlink_and_delete(self):
        c, key = self.cluster, self.key()
        for i, how in enumerate(("UNLINK", "DELETE", "UNLINK")):
            self.soon(lambda: c.put(key, "value %d" % i), 201)
            self.assertEqual(self.expect(c.get(key), 200).body, b"value %d" % i)
            self.soon(lambda: c.request(how, key), 204)
            self.expect(c.get(key), 404)
        self.assertEqual(c.list(key, "unlinked")["keys"], [key])
        self.soon(lambda: c.put(key, "last"), 201)
        self.assertEqual(self.expect(c.get(key), 200).body, b"last")
        c.wait_idle()
        self.assertEqual(len(self.generations(key)), 3)

    def test_long_names_with_generations(self):
        c = self.cluster
        for length in (186, 189, 190, 1024):
            key = "/" + chr(ord("a") + length % 26) * (length - 1)
            for i in range(2):
                self.soon(lambda: c.put(key, "value %d" % i), 201)
            self.assertEqual(self.expect(c.get(key), 200).body, b"value 1")
            path = file_path(key, c.record(key)["generation"])
            self.assertTrue(any(v.endswith(path[1:]) for v in c.files(c.volumes[0])), path)

    def test_two_writers(self):
        """One of two that overwrite at the same time is told to come again, or comes after."""
        c, key = self.cluster, self.key()
        statuses, values = [], [make_value(i, 200000) for i in range(8)]

        def write(value):
            client = Client()
            statuses.append(client.request("PUT", c.key_url(key), value).status)
            client.close()
        threads = [threading.Thread(target=write, args=(v,)) for v in values]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertLessEqual(set(statuses), {201, 409})
        self.assertIn(201, statuses)
        self.assertIn(self.expect(c.get(key), 200).body, values)


class ReadersTest(ClusterTest):
    """Readers beside a writer, and processes that are killed in between."""

    def setUp(self):
        self.c = self.new_cluster(volumes=3, master_options=["--overwrite"])
        self.seed = int(os.environ.get("CLUSTER_SEED", time.time_ns() % 10 ** 9))
        print("CLUSTER_SEED=%d" % self.seed)
        self.random = random.Random(self.seed)
        self.stop = threading.Event()
        self.failures = []
        self.acknowledged = 0  # the highest number that was acknowledged
        self.started = 0       # the highest that was tried
        self.reads = 0

    def guarded(self, work):
        try:
            work()
        except BaseException as e:  # it would be lost with the thread
            self.failures.append(repr(e))
            self.stop.set()

    def write(self):
        client, rng = Client(30), random.Random(self.seed + 1)
        while not self.stop.is_set():
            self.started += 1
            value = make_value(self.started, rng.choice((10, 5000, 300000, 1500000)))
            try:
                if client.request("PUT", self.c.key_url("/hot"), value).status == 201:
                    self.acknowledged = self.started
            except OSError:
                client.close()
                time.sleep(0.02)
        client.close()

    def read(self):
        client = Client(30)
        while not self.stop.is_set():
            before = self.acknowledged
            try:
                answer = client.request("GET", self.c.key_url("/hot"))
            except OSError:
                client.close()
                time.sleep(0.02)
                continue
            if answer.status == 200:
                number = check_value(answer.body)
                if not before <= number <= self.started:
                    raise AssertionError("read %d, acknowledged %d" % (number, before))
                self.reads += 1
            elif answer.status not in (503, 502, 504) and before:
                raise AssertionError("%r" % answer)
        client.close()

    def run_beside(self, work):
        threads = [threading.Thread(target=self.guarded, args=(w,))
                   for w in (self.write, self.read, self.read, self.read)]
        for thread in threads:
            thread.start()
        try:
            poll("values are written and read", 60 * SLOW,
                 lambda: (self.acknowledged > 3 and self.reads > 3) or self.failures)
            work()
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(self.failures, [])
        c = self.c
        c.client.close()
        poll("the value is served", 60 * SLOW, lambda: c.get("/hot").status == 200)
        number = check_value(c.get("/hot").body)
        self.assertGreaterEqual(number, self.acknowledged)
        c.wait_idle()
        self.assertEqual(sum(map(len, c.all_files().values())), 3)
        self.assertEqual(c.larder("verify", "--deep").returncode, 0)

    def test_readers_see_old_or_new(self):
        goal = 30 if SANITIZED else 100
        self.run_beside(lambda: poll("many values", 120 * SLOW, lambda: self.failures or (
            self.acknowledged >= goal and self.reads >= goal)))

    def test_killed_in_between(self):
        def kill():
            for _ in range(3 if SANITIZED else 6):
                victim = self.random.choice(self.c.servers())
                goal = self.acknowledged + 2
                poll("two more values", 60 * SLOW,
                     lambda: self.acknowledged >= goal or self.failures)
                victim.kill()
                time.sleep(self.random.random() * 0.2)
                victim.start()
        self.run_beside(kill)


if __name__ == "__main__":
    unittest.main()
