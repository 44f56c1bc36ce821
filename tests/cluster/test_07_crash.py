"""kill -9 of processes picked at random under eight writers: nothing acknowledged is lost, nothing
torn is seen, nothing deleted comes back, and the janitor leaves all in order.

CLUSTER_ROUNDS sets the number of kills (10), CLUSTER_SEED repeats a run.
"""
import os
import random
import threading
import time
import unittest

from harness import SANITIZED, SLOW, Client, ClusterTest, fetch, md5, poll

WRITERS = 8
ROUNDS = int(os.environ.get("CLUSTER_ROUNDS", "5" if SANITIZED else "10"))
SIZES = (1, 100, 4000, 70000, 300000, 1200000)
ABSENT = None  # what a key may hold, beside the digest of a value


class Writer(threading.Thread):
    """Writes, overwrites, deletes and reads its own keys. For each key it knows what may be there:
    one thing after an acknowledgement, several after a request without an answer."""

    def __init__(self, cluster, number, seed, stop):
        super().__init__()
        self.c, self.number, self.stopping = cluster, number, stop
        self.random = random.Random(seed * 100 + number)
        self.client = Client(20 * SLOW)
        self.possible = {}
        self.acknowledged = 0
        self.failure = None

    def run(self):
        try:
            while not self.stopping.is_set():
                self.step()
        except BaseException as e:
            self.failure = "writer %d: %r" % (self.number, e)
        finally:
            self.client.close()

    def step(self):
        key = "/writer%d/%d" % (self.number, self.random.randrange(40))
        what = self.random.choice(("put", "put", "put", "get", "get", "delete"))
        if what == "put":
            self.change(key, "PUT", self.random.randbytes(self.random.choice(SIZES)))
        elif what == "delete":
            self.change(key, "DELETE", None)
        else:
            self.read(key)

    def change(self, key, method, value):
        after = ABSENT if value is None else md5(value)
        before = self.possible.get(key, {ABSENT})
        self.possible[key] = before | {after}
        try:
            status = self.client.request(method, self.c.key_url(key), value).status
        except OSError:
            self.pause()
            return
        if status in (201, 204) or (method == "DELETE" and status == 404):
            if status == 404 and ABSENT not in before:
                raise AssertionError("%s is lost: DELETE says 404" % key)
            self.possible[key] = {after}
            self.acknowledged += 1
        elif 400 <= status < 500:
            self.possible[key] = before  # a 4xx changed nothing
            if status != 409:
                raise AssertionError("%s %s: %d" % (method, key, status))
        else:
            self.pause()

    def read(self, key):
        """What is read becomes what is known: nobody else writes."""
        try:
            answer = self.client.request("GET", self.c.key_url(key))
        except OSError:
            self.pause()
            return
        self.check(key, answer)

    def check(self, key, answer):
        """True where the answer says what is there."""
        possible = self.possible.get(key, {ABSENT})
        if answer.status == 200:
            seen = md5(answer.body)
        elif answer.status == 404 and not answer.hops:
            seen = ABSENT
        elif answer.status in (404, 500, 502, 503, 504):
            return False  # a volume is away, or just comes back
        else:
            raise AssertionError("%s: %r" % (key, answer))
        if seen not in possible:
            raise AssertionError("%s holds %s (%s, %d bytes), possible were %s" % (
                key, seen, answer.status, len(answer.body), possible))
        self.possible[key] = {seen}
        return True

    def pause(self):
        self.client.close()
        time.sleep(0.02)


class CrashTest(ClusterTest):
    def test_kill_minus_nine(self):
        seed = int(os.environ.get("CLUSTER_SEED", time.time_ns() % 10 ** 9))
        print("CLUSTER_SEED=%d CLUSTER_ROUNDS=%d" % (seed, ROUNDS))
        rng, stop = random.Random(seed), threading.Event()
        c = self.new_cluster(volumes=4, replicas=3, master_options=["--overwrite", "--grace", "1s"])
        writers = [Writer(c, i, seed, stop) for i in range(WRITERS)]
        for writer in writers:
            writer.start()
        try:
            for number in range(ROUNDS):
                self.kill_one(c, rng, writers)
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        self.assertEqual([w.failure for w in writers if w.failure], [])
        print("%d acknowledged" % sum(w.acknowledged for w in writers))
        self.check_all(c, writers)

    def kill_one(self, c, rng, writers):
        """Kills a process after some more writes were acknowledged, and starts it again."""
        def count():
            return sum(w.acknowledged for w in writers)
        goal = count() + rng.randrange(1, 60)
        poll("the writers go on", 60 * SLOW,
             lambda: count() >= goal or any(w.failure for w in writers))
        victim = rng.choice(c.servers())
        time.sleep(rng.random() * 0.05)  # not always just after an acknowledgement
        victim.kill()
        time.sleep(rng.random() * 0.3)
        victim.start()

    def check_all(self, c, writers):
        c.client.close()
        c.wait_master_ready()
        c.wait_idle(120)
        listed, client = set(c.list("/writer")["keys"]), Client()
        for writer in writers:
            for key, possible in sorted(writer.possible.items()):
                answer = client.request("GET", c.key_url(key))
                self.assertTrue(writer.check(key, answer), (key, answer))
                self.assertEqual(key in listed, writer.possible[key] != {ABSENT}, key)
        client.close()
        verify = c.larder("verify", "--deep")
        self.assertEqual(verify.returncode, 0, verify.stdout.decode() + verify.stderr.decode())
        self.check_copies(c, listed)

    def check_copies(self, c, listed):
        """Three files for each key, all alike, and no others."""
        self.assertEqual(sum(map(len, c.all_files().values())), 3 * len(listed))
        for key in sorted(listed):
            record = c.record(key)
            self.assertEqual(len(record["volumes"]), 3, record)
            location = c.request("GET", key, follow=False).headers["location"]
            path = "/" + location.split("/", 4)[4]
            copies = {fetch("GET", "http://" + place + path).body for place in record["volumes"]}
            self.assertEqual({md5(v) for v in copies}, {record["md5"]})


if __name__ == "__main__":
    unittest.main()
