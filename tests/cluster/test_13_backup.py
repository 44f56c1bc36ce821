"""Backups: taken while writes go on, resumed, refused when damaged. (test_13_restored.py makes a store
whole again from an older backup and its volumes.)"""
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import BIN, SLOW, SMALL, Client, fetch, poll
from test_08_tools import ToolTest

ENTRY = 6  # bytes of an entry's lengths


class Checkpoint:
    """What is in a backup's file, read by the format as PROTOCOL.md has it."""

    def __init__(self, data):
        assert data[:12] == b"LARDERCP\0\0\0\1", data[:12]
        self.entries, self.blocks, at = {}, [], 12
        while at < len(data):
            kind, size = data[at:at + 1], int.from_bytes(data[at + 1:at + 5], "big")
            payload = data[at + 5:at + 5 + size]
            self.blocks.append((kind, at))
            at += 5 + size + 16
            if kind == b"H":
                self.id, self.store = payload[:32].decode(), payload[32:64].decode()
                self.sequence = int.from_bytes(payload[64:72], "big")
            if kind == b"D":
                self._read(payload)
            if kind == b"E":
                self.count = int.from_bytes(payload[:8], "big")
        assert self.count == len(self.entries)

    def _read(self, payload):
        at = 0
        while at < len(payload):
            key_len = int.from_bytes(payload[at:at + 2], "big")
            value_len = int.from_bytes(payload[at + 2:at + 6], "big")
            at += ENTRY
            key = payload[at:at + key_len]
            self.entries[key] = payload[at + key_len:at + key_len + value_len]
            at += key_len + value_len

    def keys(self):
        return sorted(k.decode() for k in self.entries if k.startswith(b"/"))


class BackupTest(ToolTest):
    def backup(self, c, name="backup", status=0, **options):
        path = c.path(name)
        return path, self.run_tool(c, status, "backup", path, **options)

    def read(self, path):
        with open(path, "rb") as f:
            return f.read()

    def restore(self, c, path, directory="index", status=0, **options):
        return self.run_tool(c, status, "restore", path, "--db", c.path(directory), **options)

    def lose_index(self, c):
        c.client.close()
        c.master.kill()
        shutil.rmtree(c.path("index"))

    def start_restored(self, c, path):
        self.restore(c, path)
        c.start_master(ready=False)
        self.assertTrue(c.admin("/admin/status")["restored"])
        poll("all volumes are up", 20 * SLOW, lambda: all(
            v["state"] == "up" for v in c.admin("/admin/volumes")["volumes"]))

    def repair(self, c, *args, status=0):
        done = self.run_tool(c, status, "verify", "--repair", *args)
        return done.stdout.decode()


class TakingTest(BackupTest):
    def test_backup_is_the_index(self):
        c = self.new_cluster(volumes=3)
        keys = sorted("/b/%03d" % i for i in range(30))
        for key in keys:
            self.expect(c.put(key, key), 201)
        c.wait_idle()
        path, done = self.backup(c)
        self.assertIn(b"30 keys", done.stdout)
        self.assertEqual(os.listdir(c.dir).count("backup.part"), 0)
        taken = Checkpoint(self.read(path))
        self.assertEqual(taken.keys(), keys)
        self.assertEqual(taken.sequence, c.admin("/admin/status")["sequence"])
        self.assertEqual(taken.entries[b"!msequence"], b"%d" % taken.sequence)
        self.assertEqual(taken.store, c.admin("/admin/status")["id"])
        # To standard output, the same but for its id and the chain.
        piped = Checkpoint(self.run_tool(c, 0, "backup", "-").stdout)
        self.assertEqual(piped.entries, taken.entries)
        # A second one replaces the first.
        self.expect(c.put("/b/more", "x"), 201)
        self.backup(c)
        self.assertIn("/b/more", Checkpoint(self.read(path)).keys())

    def test_one_moment(self):
        """Four writers, each writes 1, 2, 3, …: a backup has a beginning of each one's keys, and all
        that was acknowledged before it began."""
        c = self.new_cluster(volumes=1)
        done, stop = [0] * 4, threading.Event()

        def write(n):
            client = Client()
            while not stop.is_set():
                answer = client.request("PUT", c.url + "/%d/%06d" % (n, done[n]), b"v")
                assert answer.status == 201, answer
                done[n] += 1
            client.close()
        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        [t.start() for t in threads]
        last = 0
        try:
            for i in range(3 if SMALL else 6):
                poll("more is written", 30 * SLOW, lambda: sum(done) > 40 * (i + 1))
                before = list(done)
                path, _ = self.backup(c)
                after = [n + 1 for n in done]
                taken = Checkpoint(self.read(path))
                self.assertGreater(taken.sequence, last)
                last = taken.sequence
                for n in range(4):
                    own = [k for k in taken.keys() if k.startswith("/%d/" % n)]
                    self.assertEqual(own, ["/%d/%06d" % (n, j) for j in range(len(own))])
                    self.assertTrue(before[n] <= len(own) <= after[n],
                                    (before[n], len(own), after[n]))
        finally:
            stop.set()
            [t.join() for t in threads]

    def test_files_that_cannot_be_written(self):
        c = self.new_cluster(volumes=1)
        done = self.run_tool(c, 1, "backup", c.path("no", "such", "directory"))
        self.assertIn(b"No such file", done.stderr)
        full = self.run_tool(c, 1, "backup", "/dev/full")
        self.assertIn(b"No space left", full.stderr)
        c.master.stop()
        self.assertIn(b"no master answers", self.backup(c, status=1)[1].stderr)
        self.assertFalse(os.path.exists(c.path("backup")))
        c.start_master()


class LargeTest(BackupTest):
    """An index of many keys, without their values."""

    COUNT = 20000 if SMALL else 200000

    def many(self, count=COUNT):
        c = self.new_cluster(volumes=0, replicas=1, start=False)
        lines = ("/many/%07d\tlocalhost:1/sv00,localhost:2/sv01" % i for i in range(count))
        subprocess.run([os.environ["CLUSTER_MKVDB"], "put", c.path("index")],
                       input="\n".join(lines).encode() + b"\n", check=True)
        c.start_master(ready=False)
        return c

    def paths(self):
        return sorted("/many/%07d" % i for i in range(self.COUNT))

    def start_backup(self, c):
        return subprocess.Popen([BIN + "/larder", "-m", c.url, "backup", c.path("backup")],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def part_size(self, c):
        try:
            return os.path.getsize(c.path("backup.part"))
        except FileNotFoundError:
            return 0

    def interrupted(self, c, how):
        """A backup that `how` ended in the middle; the size of what it left."""
        for _ in range(20):
            tool = self.start_backup(c)
            poll("something has come", 20 * SLOW,
                 lambda: self.part_size(c) > 1000 or tool.poll() is not None, every=0.001)
            how(tool)
            tool.communicate()
            if tool.returncode != 0 and self.part_size(c) > 1000:
                return self.part_size(c)
        raise self.skipTest("every backup was whole before it could be interrupted")

    @unittest.skipUnless("CLUSTER_MKVDB" in os.environ, "needs mkvdb")
    def test_resumes(self):
        c = self.many()
        for sig in (signal.SIGINT, signal.SIGKILL):
            left = self.interrupted(c, lambda tool: tool.send_signal(sig))
            first = self.read(c.path("backup.part"))[:left]
            path, _ = self.backup(c)
            data = self.read(path)
            self.assertEqual(Checkpoint(data).keys(), self.paths())
            whole = 0
            for _, at in Checkpoint(data).blocks:  # blocks that it had are still there
                if at <= left:
                    whole = at
            self.assertEqual(data[:whole], first[:whole])
            self.assertEqual(data[17:49], first[17:49])  # the same checkpoint
            os.remove(path)

    @unittest.skipUnless("CLUSTER_MKVDB" in os.environ, "needs mkvdb")
    def test_master_killed_in_the_middle(self):
        """It begins anew with the one that comes back."""
        c = self.many()

        def kill_master(tool):
            c.master.kill()
            c.start_master(ready=False)
        tool = self.start_backup(c)
        poll("something has come", 20 * SLOW, lambda: self.part_size(c) > 0, every=0.001)
        kill_master(tool)
        out, err = tool.communicate(timeout=60 * SLOW)
        self.assertEqual(tool.returncode, 0, err)
        self.assertEqual(Checkpoint(self.read(c.path("backup"))).keys(), self.paths())

    @unittest.skipUnless("CLUSTER_MKVDB" in os.environ, "needs mkvdb")
    def test_frozen_master(self):
        c = self.many()
        tool = self.start_backup(c)
        poll("something has come", 20 * SLOW, lambda: self.part_size(c) > 0, every=0.001)
        c.master.pause()
        time.sleep(1)
        c.master.process.send_signal(signal.SIGCONT)
        out, err = tool.communicate(timeout=60 * SLOW)
        self.assertEqual(tool.returncode, 0, err)
        self.assertEqual(Checkpoint(self.read(c.path("backup"))).keys(), self.paths())

    @unittest.skipUnless("CLUSTER_MKVDB" in os.environ, "needs mkvdb")
    def test_snapshots_are_few(self):
        """Four readers at a time; who reads nothing costs little, and a fifth is told."""
        c = self.many(200000)  # more than the kernel keeps for a reader
        readers = []
        for _ in range(4):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", c.port))
            sock.sendall(b"GET /admin/checkpoint HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b" 200 ", sock.recv(100))
            readers.append(sock)
        self.addCleanup(lambda: [s.close() for s in readers])
        self.expect(fetch("GET", c.url + "/admin/checkpoint"), 503)
        readers.pop().close()
        poll("there is room again", 90 * SLOW, lambda: fetch(
            "GET", c.url + "/admin/checkpoint").status == 200, every=0.2)
        unknown = "?id=%s&entries=0&bytes=0&chain=%s" % ("0" * 32, "0" * 32)
        self.expect(fetch("GET", c.url + "/admin/checkpoint" + unknown), 410)
        for bad in ("?id=x", "?id=" + "0" * 32, "?id=%s&entries=x&bytes=0&chain=%s" % (
                "0" * 32, "0" * 32), "?id=%s&entries=1&bytes=0&chain=zz" % ("0" * 32)):
            self.expect(fetch("GET", c.url + "/admin/checkpoint" + bad), 400)

    @unittest.skipUnless("CLUSTER_MKVDB" in os.environ, "needs mkvdb")
    def test_restore(self):
        c = self.many()
        path, _ = self.backup(c)
        c.master.stop()
        # Killed in the middle: nothing is there but what held the place; the next one does it.
        tool = subprocess.Popen([BIN + "/larder", "restore", path, "--db", c.path("again")],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        poll("it has begun", 20 * SLOW, lambda: tool.poll() is not None or
             os.path.exists(c.path("again.checkpoint-new")), every=0.001)
        tool.kill()
        tool.communicate()
        if tool.returncode != 0:
            self.assertEqual(os.listdir(c.path("again")), ["LOCK"])
            self.restore(c, path, "again")
        shutil.rmtree(c.path("index"))
        shutil.move(c.path("again"), c.path("index"))
        c.start_master(ready=False)
        self.assertEqual(c.list("/many/", limit=3)["keys"], self.paths()[:3])
        path2, _ = self.backup(c, "second")
        first, second = Checkpoint(self.read(path)), Checkpoint(self.read(path2))
        mine = lambda e: {k: v for k, v in e.items() if not k.startswith(b"!m")}
        self.assertEqual(mine(first.entries), mine(second.entries))
        self.assertGreater(second.sequence, first.sequence)
        self.assertNotEqual(second.store, first.store)
        self.assertIn(b"!mrestored", second.entries)


class RefusedTest(BackupTest):
    def test_damage(self):
        c = self.new_cluster(volumes=1)
        for i in range(5):
            self.expect(c.put("/d/%d" % i, "v"), 201)
        path, _ = self.backup(c)
        data = self.read(path)
        bad = c.path("bad")
        places = list(range(0, len(data), max(1, len(data) // (8 if SMALL else 40))))
        for at in places:
            with open(bad, "wb") as f:
                f.write(data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1:])
            done = self.restore(c, bad, "other", status=1)
            self.assertIn(b"Nothing was restored", done.stderr)
            self.assertFalse(os.path.exists(c.path("other")))
        for text in (b"", data[:-1], data[:len(data) // 2], data + b"x", b"#!/bin/sh\n" * 100):
            done = self.restore(c, "-", "other", status=1, data=text)
            self.assertIn(b"Nothing was restored", done.stderr)
        self.assertEqual([n for n in os.listdir(c.dir) if n.startswith("other")], [])

    def test_directories_that_are_taken(self):
        c = self.new_cluster(volumes=1)
        self.expect(c.put("/k", "v"), 201)
        path, _ = self.backup(c)
        self.assertIn(b"in use", self.restore(c, path, status=1).stderr)
        c.wait_idle()
        c.master.stop()
        self.assertIn(b"has keys", self.restore(c, path, status=1).stderr)
        os.mkdir(c.path("mine"))
        with open(c.path("mine", "notes.txt"), "w") as f:
            f.write("mine")
        self.assertIn(b"cannot be read as an index", self.restore(c, path, "mine", 1).stderr)
        self.assertEqual(os.listdir(c.path("mine")), ["notes.txt"])
        self.restore(c, path, "backup", status=1)  # a file
        # An index without keys is no loss.
        shutil.rmtree(c.path("index"))
        c.start_master()
        c.master.stop()
        self.restore(c, path)
        c.start_master(ready=False)
        self.assertEqual(c.list()["keys"], ["/k"])
        self.assertEqual(sorted(n for n in os.listdir(c.dir) if n.startswith("index")), ["index"])

    def test_a_directory_is_held(self):
        """From the first moment, also one that was not there: no second restore, no master."""
        c = self.new_cluster(volumes=1)
        self.expect(c.put("/k", "v"), 201)
        path, _ = self.backup(c)
        c.wait_idle()
        c.master.stop()
        shutil.rmtree(c.path("index"))
        tool = subprocess.Popen([BIN + "/larder", "restore", "-", "--db", c.path("index")],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        poll("it has begun", 20 * SLOW, lambda: os.path.exists(c.path("index.checkpoint-new",
                                                                      "CURRENT")))
        with open(c.path("index", "LOCK"), "r+") as f:
            with self.assertRaises(OSError):
                fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.assertIn(b"in use", self.restore(c, path, status=1).stderr)
        with self.assertRaises(Exception):
            c.start_master(ready=False)
        _, said = tool.communicate(self.read(path))
        self.assertEqual((tool.returncode, said), (0, b""))
        self.assertEqual(sorted(n for n in os.listdir(c.dir) if n.startswith("index")), ["index"])
        c.start_master(ready=False)
        self.assertEqual(c.list()["keys"], ["/k"])
        # One that was killed is not in the way of the next.
        tool = subprocess.Popen([BIN + "/larder", "restore", "-", "--db", c.path("other")],
                                stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        poll("it has begun", 20 * SLOW, lambda: os.path.exists(c.path("other.checkpoint-new",
                                                                      "CURRENT")))
        tool.kill()
        tool.communicate()
        self.restore(c, path, "other")

    def test_usage(self):
        c = self.new_cluster(volumes=0, replicas=1, start=False)
        self.run_tool(c, 2, "backup")
        self.run_tool(c, 2, "restore", "x")
        self.run_tool(c, 2, "restore", "--db", c.path("x"))
        self.run_tool(c, 1, "restore", c.path("nothing"), "--db", c.path("x"))
        self.run_tool(c, 2, "verify", "--adopt")


if __name__ == "__main__":
    unittest.main()
