"""larder bench: every operation counts what it did, and sees what is wrong with an answer."""
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import unittest

from harness import BIN, SLOW, ClusterTest, file_path, poll

SMALL_LOAD = 200


class BenchTest(ClusterTest):
    def bench(self, *args, url=None, status=0):
        """Runs it; its JSON, or where it gave none what it said."""
        argv = [BIN + "/larder", "bench", url or self.cluster.url, "--json", *map(str, args)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120 * SLOW)
        if done.returncode != status:
            raise AssertionError("%s: exit status %d, not %d\n%s%s" % (
                argv, done.returncode, status, done.stdout.decode(), done.stderr.decode()))
        return json.loads(done.stdout) if done.stdout else done.stderr.decode()


class OperationsTest(BenchTest):
    OPTIONS = {"volumes": 3, "master_options": ["--sync=none"], "volume_options": ["--sync=none", "--scrub-days=0"]}

    def written(self, size="1K", keys=SMALL_LOAD):
        """A prefix below which so many keys were written."""
        prefix = self.key("/")
        found = self.bench("--op", "put", "--keys", keys, "--prefix", prefix, "--size", size)
        self.assertEqual((found["operations"], found["errors"]), (keys, 0))
        return prefix

    def test_put_writes_each_key_once(self):
        prefix = self.written()
        self.assertEqual(self.cluster.list(prefix)["keys"],
                         ["%s%010d" % (prefix, i) for i in range(SMALL_LOAD)])
        self.assertEqual(len(self.cluster.get(prefix + "0000000007").body), 1024)
        found = self.bench("--op", "put", "--keys", SMALL_LOAD, "--prefix", prefix, status=1)
        self.assertEqual((found["operations"], found["statuses"]), (0, {"403": SMALL_LOAD}))

    def test_reading_operations(self):
        prefix = self.written(size="1-3K:5,64K-256K:1")
        common = ["--prefix", prefix, "--keys", SMALL_LOAD, "--check", "all",
                  "--size", "1-3K:5,64K-256K:1"]
        for op in ("get", "head", "get-follow", "missing"):
            for order in ("seq", "random"):
                found = self.bench("--op", op, "--count", 400, "--order", order, *common)
                self.assertEqual((found["operations"], found["errors"], found["faults"]),
                                 (400, 0, {}))
                self.assertEqual(found["latency_us"]["count"], 400)
        total = sum(len(self.cluster.get("%s%010d" % (prefix, i)).body) for i in range(SMALL_LOAD))
        found = self.bench("--op", "get-follow", "--count", SMALL_LOAD, *common)
        self.assertEqual(found["bytes"], total)
        found = self.bench("--op", "get", "--duration", "300ms", "--threads", 2, *common)
        self.assertGreater(found["operations"], 10)

    def test_list(self):
        prefix = self.written()
        found = self.bench("--op", "list", "--prefix", prefix, "--keys", SMALL_LOAD, "--count", 100,
                           "--page", 10, "--check", "all", "--order", "random")
        self.assertEqual((found["operations"], found["errors"]), (100, 0))

    def test_delete_and_cycle_leave_nothing(self):
        prefix = self.written()
        found = self.bench("--op", "delete", "--prefix", prefix, "--keys", SMALL_LOAD)
        self.assertEqual((found["operations"], found["errors"]), (SMALL_LOAD, 0))
        found = self.bench("--op", "cycle", "--prefix", prefix, "--count", 100, "--check", "all")
        self.assertEqual((found["operations"], found["errors"]), (100, 0))
        self.assertEqual({step: found["steps_us"][step]["count"] for step in found["steps_us"]},
                         {"write": 100, "read": 100, "delete": 100})
        self.assertEqual(self.cluster.list(prefix)["keys"], [])

    def test_a_wrong_byte_is_found(self):
        prefix = self.written()
        key = prefix + "0000000003"
        for place in self.cluster.places_with(key):
            volume = self.cluster.volume_of(place)
            path = volume.dir + "/" + place.partition("/")[2] + file_path(key)
            with open(path, "rb") as f:
                value = bytearray(f.read())
            value[700] ^= 1
            os.unlink(path)
            with open(path, "wb") as f:  # without the MD5 by which the volume itself would see it
                f.write(value)
        args = ["--prefix", prefix, "--keys", SMALL_LOAD, "--count", SMALL_LOAD]
        found = self.bench("--op", "get-follow", *args, status=1)
        self.assertEqual((found["operations"], found["faults"]), (SMALL_LOAD - 1, {"bytes": 1}))
        self.assertIn(key, found["examples"]["bytes"])
        found = self.bench("--op", "get-follow", "--check", "none", *args)
        self.assertEqual(found["operations"], SMALL_LOAD)

    def test_other_values_than_expected(self):
        prefix = self.written()
        args = ["--prefix", prefix, "--keys", SMALL_LOAD, "--count", SMALL_LOAD, "--check", "all"]
        found = self.bench("--op", "get-follow", "--size", "1025", *args, status=1)
        self.assertEqual(found["faults"], {"length": SMALL_LOAD})
        found = self.bench("--op", "get-follow", "--seed", 2, *args, status=1)
        self.assertEqual(found["faults"], {"bytes": SMALL_LOAD})
        found = self.bench("--op", "get", "--seed", 2, *args, status=1)
        self.assertEqual(found["faults"], {"md5": SMALL_LOAD})
        found = self.bench("--op", "missing", "--prefix", prefix + "x", "--count", 10)
        self.assertEqual(found["errors"], 0)
        found = self.bench("--op", "get", "--prefix", prefix + "x", "--count", 10, status=1)
        self.assertEqual((found["operations"], found["statuses"]), (0, {"404": 10}))

    def test_a_volume_alone(self):
        url = self.cluster.volumes[0].url
        for op in ("put", "get", "head", "get-follow", "delete"):
            found = self.bench("--op", op, "--keys", 50, "--count", 50, "--prefix", "/plain/",
                               "--check", "all", url=url)
            self.assertEqual((found["operations"], found["errors"]), (50, 0))

    def test_text(self):
        prefix = self.written(keys=20)
        done = self.cluster.larder("bench", "--op", "get", "--prefix", prefix, "--keys", "20",
                                   "--count", "100")
        text = done.stdout.decode()
        self.assertEqual(done.returncode, 0)
        self.assertRegex(text, r"operations +100, [0-9.]+/s")
        self.assertRegex(text, r"latency +p50 [0-9.]+  p90 [0-9.]+  p99 [0-9.]+  p99.9 [0-9.]+")

    def test_an_interruption_prints_what_there_is(self):
        argv = [BIN + "/larder", "bench", self.cluster.url, "--op", "missing", "--duration", "10m",
                "--json"]
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            before = self.requests()
            poll("it is under way", 20 * SLOW, lambda: self.requests() > before + 100)
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=20 * SLOW)
        finally:
            child.kill()
            child.wait()
        found = json.loads(out)
        self.assertEqual((child.returncode, found["interrupted"]), (0, True), err)
        self.assertGreater(found["operations"], 100)

    def requests(self):
        """How many the master has answered."""
        text = self.cluster.request("GET", "/admin/metrics", follow=False).body.decode()
        return sum(float(line.split()[-1]) for line in text.splitlines()
                   if line.startswith("larder_requests_total"))


class Canned:
    """A server that gives the same bytes as an answer to every request, and then closes."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.held = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
                connection.recv(65536)
                if self.answer is None:
                    self.held.append(connection)
                    continue
                connection.sendall(self.answer.replace(b"SELF", self.url.encode()))
                connection.close()
            except OSError:
                if self.listener.fileno() < 0:
                    return

    def close(self):
        for connection in [self.listener, *self.held]:
            connection.close()


class FaultsTest(BenchTest):
    OPTIONS = None

    def canned(self, answer, *args):
        server = Canned(answer)
        self.addCleanup(server.close)
        return self.bench("--count", 5, "--clients", 2, *args, url=server.url, status=1)

    def test_kinds_of_faults(self):
        redirect = b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n"
        listing = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
        unsorted = b'{"next":"","keys":["/bench/b","/bench/a"]}'
        cases = [
            ("broken", b"", "--op", "get"),
            ("broken", b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\nshort", "--op", "get"),
            ("malformed", b"nonsense\r\n\r\n", "--op", "get"),
            ("status", b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "--op", "get"),
            ("redirect", redirect % b"SELF/again", "--op", "get-follow"),
            ("redirect", redirect % b"ftp://x/", "--op", "get-follow"),
            ("redirect", redirect % b"http://no-such-host.invalid/x", "--op", "get-follow"),
            ("list", listing % (len(unsorted), unsorted), "--op", "list", "--check", "all"),
            ("list", listing % (4, b"null"), "--op", "list", "--check", "all"),
            ("timeout", None, "--op", "get", "--timeout", "200ms"),
        ]
        for kind, answer, *args in cases:
            with self.subTest(kind=kind, answer=answer):
                found = self.canned(answer, *args)
                self.assertEqual((found["operations"], found["faults"]), (0, {kind: 5}))
                self.assertTrue(found["examples"][kind])

    def test_nobody_is_there(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = "http://127.0.0.1:%d" % unused.getsockname()[1]
            said = self.bench(url=url, status=1)
        self.assertIn("no connection to " + url, said)
        self.assertIn("Connection refused", said)
        self.assertIn("no connection", self.bench(url="http://no-such-host.invalid:1", status=1))

    def test_a_server_that_goes_away(self):
        server = Canned(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\n"
                        b"Content-Length: 0\r\n\r\n")
        self.addCleanup(server.close)
        found = self.bench("--op", "get-follow", "--duration", "1s", url=server.url, status=1)
        self.assertEqual(list(found["faults"]), ["connect"])
        self.assertLess(found["errors"], 1000)  # it waits between two tries

    def test_wrong_usage(self):
        for args in (["--op", "steal"], ["--size", "0"], ["--keys", "many"], ["--prefix", "x"],
                     ["--clients", "0"], ["--op", "put", "--order", "random"], ["--rate", "-1"]):
            self.assertTrue(self.bench(*args, url="http://127.0.0.1:1", status=2), args)
        for url in ("https://127.0.0.1:1", "http://127.0.0.1:1/?x"):
            self.assertIn("is no URL", self.bench(url=url, status=2))


@unittest.skipUnless(shutil.which("nginx") or os.path.exists("/usr/sbin/nginx"), "no nginx here")
class PlainServerTest(BenchTest):
    OPTIONS = {"volumes": 1, "nginx": True}

    def test_static_files(self):
        url = self.cluster.volumes[0].url + "/below/here"
        for op in ("put", "get", "head", "get-follow", "missing", "delete"):
            found = self.bench("--op", op, "--keys", 1500, "--count", 1500, "--check", "all",
                               "--clients", 2, url=url)
            self.assertEqual((found["operations"], found["errors"]), (1500, 0))


if __name__ == "__main__":
    unittest.main()
