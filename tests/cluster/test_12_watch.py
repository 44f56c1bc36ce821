"""Watches: order, resuming without a gap or a double, slow readers, falling behind, the tool."""
import json
import os
import socket
import subprocess
import threading
import time
import unittest

from harness import (BIN, SLOW, SMALL, Client, fetch, md5, poll, quote)
from test_08_tools import ToolTest


class Watch:
    """One watch, read by a thread of its own into self.events: (id, event, data)."""

    def __init__(self, c, prefix="/", since=None, headers=(), read=True, window=None):
        self.events, self.comments, self.last_id, self.ended = [], 0, None, False
        self.sock = socket.socket()
        if window:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.sock.connect(("127.0.0.1", c.port))
        query = "?watch" + ("" if since is None else "&since=%d" % since)
        lines = ["GET %s%s HTTP/1.1" % (quote(prefix), query), "Host: x", *headers, "", ""]
        self.sock.sendall("\r\n".join(lines).encode())
        self.file = self.sock.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.fields = {}
        for line in iter(self.file.readline, b"\r\n"):
            name, _, value = line.decode().partition(":")
            self.fields[name.lower()] = value.strip()
        self.thread = threading.Thread(target=self._read, daemon=True)
        if read:
            self.thread.start()

    def _chunks(self):
        while True:
            size = int(self.file.readline() or b"0", 16)
            if size == 0:
                return
            yield self.file.read(size)
            self.file.readline()

    def _read(self):
        rest, event = b"", {}
        try:
            for chunk in self._chunks():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line:
                        name, _, value = line.decode().partition(": ")
                        event[name] = value
                        continue
                    if "id" in event:
                        self.last_id = int(event["id"])
                    if "data" in event:
                        self.events.append((int(event.get("id", 0)), event["event"],
                                            json.loads(event["data"])))
                    else:
                        self.comments += 1
                    event = {}
        except (OSError, ValueError):
            pass
        self.ended = True

    def wait(self, count, seconds=20):
        poll("%d events, there are %d" % (count, len(self.events)), seconds * SLOW,
             lambda: len(self.events) >= count)
        return self.events

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        if self.thread.ident:
            self.thread.join()
        self.file.close()
        self.sock.close()


class WatchTest(ToolTest):
    def watch(self, c, *args, **options):
        watch = Watch(c, *args, **options)
        self.addCleanup(watch.close)
        return watch

    def short(self, events):
        return [(event, data["key"]) for _, event, data in events]


class EventsTest(WatchTest):
    OPTIONS = {"volumes": 3, "master_options": ["--overwrite"]}

    def test_events(self):
        c, key = self.cluster, self.key("/a b")
        watch = self.watch(c, key)
        self.assertEqual(watch.status, 200)
        self.assertEqual(watch.fields["content-type"], "text/event-stream")
        self.expect(c.put(key, "value"), 201)
        self.expect(c.put(self.key(), "elsewhere"), 201)
        self.soon(lambda: c.put(key, "another"), 201)
        self.soon(lambda: c.request("UNLINK", key), 204)
        self.soon(lambda: c.put(key, "back"), 201)
        self.soon(lambda: c.delete(key), 204)
        events = watch.wait(5)
        self.assertEqual([e for _, e, _ in events],
                         ["put", "overwrite", "unlink", "put", "delete"])
        ids = [n for n, _, _ in events]
        self.assertEqual(ids, sorted(set(ids)))
        self.assertEqual([d["sequence"] for _, _, d in events], ids)
        self.assertEqual({d["key"] for _, _, d in events}, {quote(key)})
        self.assertEqual(events[0][2]["size"], 5)
        self.assertEqual(events[0][2]["md5"], md5(b"value"))
        self.assertEqual(events[1][2]["size"], 7)
        self.assertNotIn("size", events[4][2])

    def test_what_changes_nothing_is_not_told(self):
        c, key = self.cluster, self.key()
        watch = self.watch(c, key)
        self.expect(c.delete(key), 404)
        self.expect(c.request("UNLINK", key), 404)
        self.expect(c.put(key, ""), 411)
        self.expect(c.put(key, "x", Content_MD5=md5(b"y")), 422)
        self.soon(lambda: c.put(key, "v"), 201)
        self.soon(lambda: c.request("REBALANCE", key), 204)
        self.soon(lambda: c.delete(key), 204)
        self.assertEqual(self.short(watch.wait(2)), [("put", key), ("delete", key)])

    def test_resumes_anywhere(self):
        c, key = self.cluster, self.key()
        start = c.admin("/admin/status")["sequence"]
        for i in range(20):
            self.expect(c.put("%s/%02d" % (key, i), "v"), 201)
        whole = list(self.watch(c, key, since=start).wait(20))
        self.assertEqual([k for _, k in self.short(whole)],
                         ["%s/%02d" % (key, i) for i in range(20)])
        for at in (0, 7, 18):
            rest = self.watch(c, key, since=whole[at][0]).wait(19 - at)
            self.assertEqual(rest, whole[at + 1:])
        # A browser that connects again: its header counts more than the URL that it was given.
        header = "Last-Event-ID: %d" % whole[9][0]
        self.assertEqual(self.watch(c, key, since=start, headers=[header]).wait(10), whole[10:])

    def test_bad_questions(self):
        c = self.cluster
        now = c.admin("/admin/status")["sequence"]
        for query in ("watch&since=x", "watch&since=", "watch&since=-1", "watch&since=%zz"):
            self.expect(c.request("GET", "/", query=query), 400)
        self.expect(c.request("GET", "/", query="watch", headers={"Last-Event-ID": "x"}), 400)
        future = self.expect(c.request("GET", "/", query="watch&since=%d" % (now + 1000000)), 410)
        told = json.loads(future.body)
        self.assertLessEqual(told["oldest"], told["sequence"] + 1)
        # What was just committed is told to watchers a moment later than to /admin/status.
        poll("watchers are told of all that the index has", 10, lambda: now <= json.loads(
            c.request("GET", "/", query="watch&since=%d" % (now + 1000000)).body)["sequence"])
        self.expect(c.request("HEAD", "/", query="watch"), 200)

    def test_many_watchers_see_the_same(self):
        c, key = self.cluster, self.key()
        count, writers = (10, 2) if SMALL else (60, 4)
        watches = [self.watch(c, key) for _ in range(5)]

        def write(n):
            client = Client()
            for i in range(count):
                answer = client.request("PUT", c.key_url("%s/%d/%d" % (key, n, i)), b"v")
                self.assertEqual(answer.status, 201)
            client.close()
        threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        seen = [w.wait(count * writers) for w in watches]
        for events in seen:
            self.assertEqual(events, seen[0])
            self.assertEqual(len({d["key"] for _, _, d in events}), count * writers)
            ids = [n for n, _, _ in events]
            self.assertEqual(ids, sorted(set(ids)))
            for n in range(writers):  # each writer's own come in its order
                own = [d["key"] for _, _, d in events if d["key"].startswith("%s/%d/" % (key, n))]
                self.assertEqual(own, ["%s/%d/%d" % (key, n, i) for i in range(count)])

    def test_tool(self):
        c, key = self.cluster, self.key()
        start = c.admin("/admin/status")["sequence"]
        for i in range(3):
            self.expect(c.put("%s/%d" % (key, i), "value"), 201)
        done = self.run_tool(c, 0, "watch", "--since", str(start), "--count", "3", key)
        lines = done.stdout.decode().split("\n")
        self.assertEqual([line.split()[1:] for line in lines[:3]],
                         [["put", "%s/%d" % (key, i), "5", md5(b"value")] for i in range(3)])
        done = self.run_tool(c, 0, "watch", "-s", str(start), "-n", "1", "--json", key)
        event = json.loads(done.stdout)
        self.assertEqual((event["event"], event["key"]), ("put", key + "/0"))
        done = self.run_tool(c, 1, "watch", "--since", str(10 ** 17))
        self.assertIn(b"not kept any more", done.stderr)


class LimitsTest(WatchTest):
    def test_resumes_under_load_without_gap_or_double(self):
        """One that is cut off again and again sees just what one sees that stays."""
        c = self.new_cluster(volumes=1, master_options=["--overwrite"])
        stop = threading.Event()
        written = []

        def write(n):
            client, i = Client(), 0
            while not stop.is_set():
                key = "/load/%d/%d" % (n, i % 50)
                if client.request("PUT", c.key_url(key), b"v%d" % i).status == 201:
                    written.append(key)
                i += 1
            client.close()
        whole = self.watch(c, "/load/")
        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        [t.start() for t in threads]
        got, last = [], int(whole.fields["larder-sequence"])
        for _ in range(5 if SMALL else 20):
            part = Watch(c, "/load/", since=last)
            self.assertEqual(part.status, 200)
            part.wait(5)
            part.close()
            got += part.events
            last = got[-1][0]
        stop.set()
        [t.join() for t in threads]
        got += self.watch(c, "/load/", since=last).wait(len(written) - len(got))
        self.assertEqual(len(got), len(written))
        self.assertEqual(got, whole.wait(len(written)))

    def test_restart(self):
        """Who has seen everything goes on; who has not is told."""
        c = self.new_cluster(volumes=1)
        watch = self.watch(c)
        for i in range(5):
            self.expect(c.put("/r/%d" % i, "v"), 201)
        events = watch.wait(5)
        c.wait_idle()
        c.master.stop()
        poll("the watch has ended", 10, lambda: watch.ended)
        c.start_master()
        now = c.admin("/admin/status")["sequence"]
        self.assertEqual(self.watch(c, since=now).status, 200)
        gone = self.expect(fetch("GET", c.url + "/?watch&since=%d" % events[2][0]), 410)
        self.assertEqual(json.loads(gone.body), {"oldest": now, "sequence": now})
        again = self.watch(c, since=now)
        self.expect(fetch("PUT", c.url + "/r/new", b"v"), 201)
        self.assertEqual(self.short(again.wait(1)), [("put", "/r/new")])

    def test_tool_goes_on_after_a_restart(self):
        c = self.new_cluster(volumes=1)
        tool = subprocess.Popen([BIN + "/larder", "-m", c.url, "watch", "--since",
                                 str(c.admin("/admin/status")["sequence"]), "--count", "2"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(tool.kill)
        self.expect(c.put("/t/1", "v"), 201)
        self.assertIn(b" put /t/1 ", tool.stdout.readline())
        c.wait_idle()
        c.master.stop()
        c.start_master()
        self.expect(fetch("PUT", c.url + "/t/2", b"v"), 201)
        out, err = tool.communicate(timeout=30 * SLOW)
        self.assertIn(b" put /t/2 ", out)
        self.assertEqual(tool.returncode, 0, err)

    def test_falls_behind(self):
        c = self.new_cluster(volumes=1, master_options=["--watch-log", "1k", "--overwrite"])
        start = c.admin("/admin/status")["sequence"]
        long = "/" + "x" * 1000
        for i in range(80):  # of more than a segment
            self.soon(lambda: c.put(long, "v%d" % i), 201)
        gone = self.expect(c.request("GET", "/", query="watch&since=%d" % start), 410)
        told = json.loads(gone.body)
        self.assertGreater(told["oldest"], start)
        self.assertEqual(self.watch(c, since=told["oldest"]).status, 200)
        done = self.run_tool(c, 1, "watch", "--since", str(start))
        self.assertIn(b"not kept any more", done.stderr)

    @unittest.skipIf(SMALL, "needs many writes")
    def test_slow_reader_is_cut_off(self):
        """It costs the master no memory, and others nothing."""
        c = self.new_cluster(volumes=1, master_options=["--watch-log", "1m", "--overwrite"])
        slow = Watch(c, read=False, window=4096)
        self.addCleanup(slow.close)
        quick = self.watch(c)
        before = self.memory(c)
        stop = threading.Event()
        prefix = "/" + "%20" * 1000

        def write(n):
            client, i = Client(), 0
            while not stop.is_set():
                client.request("PUT", c.url + "%s%d/%d" % (prefix, n, i % 20), b"v")
                i += 1
            client.close()
        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        [t.start() for t in threads]
        try:
            # The sockets' buffers take a part of it first.
            poll("much has happened", 120 * SLOW, lambda: len(quick.events) > 3000, every=0.2)
        finally:
            stop.set()
            [t.join() for t in threads]
        self.assertFalse(quick.ended)
        self.assertLess(self.memory(c) - before, 24 * 1024)
        slow.thread.start()
        poll("the slow one is cut off", 20 * SLOW, lambda: slow.ended)
        self.assertEqual(slow.events[-1][1], "behind")
        self.assertGreater(slow.events[-1][2]["oldest"], slow.events[-2][0])
        ids = [n for n, _, _ in slow.events[:-1]]
        self.assertEqual(ids, [n for n, _, _ in quick.events[:len(ids)]])  # no gap before

    def memory(self, c):
        with open("/proc/%d/status" % c.master.pid) as f:
            return int(next(line for line in f if line.startswith("VmRSS")).split()[1])

    def test_number_of_watchers_is_bounded(self):
        c = self.new_cluster(volumes=1, master_options=["--max-watchers", "3"])
        watches = [self.watch(c) for _ in range(3)]
        self.assertEqual([w.status for w in watches], [200] * 3)
        self.expect(c.request("GET", "/", query="watch"), 503)
        watches[0].close()
        # It is noticed when something is to be sent.
        poll("there is room again", 40 * SLOW, lambda: self.is_admitted(c), every=0.2)

    def is_admitted(self, c):
        fetch("PUT", c.url + "/some/%d" % time.time_ns(), b"v")
        return self.watch(c).status == 200


if __name__ == "__main__":
    unittest.main()
