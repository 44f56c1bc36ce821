"""Whatever happens to the bytes of a copy, a reader gets the right ones or sees that it failed."""
import ctypes
import os
import random
import shutil
import socket
import subprocess
import threading
import time
import unittest

from harness import SANITIZED, SLOW, Client, Raw, fetch, file_path, poll
from test_11_healing import HealingTest

KIB, MIB = 1024, 1024 * 1024
SIZES = (KIB, 300 * KIB, 5 * MIB)
LARGE = 5 * MIB  # sent while it is verified, so its reader may see the connection cut


class ReadsTest(HealingTest):
    def mastered(self, before=lambda volume: None, **options):
        """A cluster whose volumes know their master, and look for damage only where they are read.
        `before` is called with each volume before it starts."""
        c = self.new_cluster(start=False, volume_options=["--scrub-days", "0"], **options)
        for volume in c.volumes:
            volume.argv += ["--master", c.url, "--base", volume.url]
            before(volume)
            volume.start()
        c.start_master()
        return c

    def read(self, url, value, client=None):
        """True: the right bytes. False: a failure that the reader sees. Anything else must not be."""
        try:
            answer = client.request("GET", url) if client else fetch("GET", url)
        except OSError:
            return False  # the answer broke off
        if answer.status != 200:
            self.assertIn(answer.status, (404, 500, 503), answer)
            return False
        self.assertEqual(len(answer.body), int(answer.headers["content-length"]))
        self.assertTrue(answer.body == value, "wrong bytes with status 200 from %s" % url)
        return True

    def put_all(self, c, count=3):
        values = {}
        for size in SIZES:
            for i in range(count):
                key = "/reads/%d/%d" % (size, i)
                values[key] = os.urandom(size)
                self.expect(c.put(key, values[key]), 201)
        return values

    def position(self, size, i):
        return (0, size // 2, size - 1)[i % 3]

    def copy(self, c, key, n=0):
        """URL and path of the n-th copy."""
        place = c.record(key)["volumes"][n]
        return "http://" + place + file_path(key), self.path_at(c, place, key)

    def metric(self, volume, name):
        text = fetch("GET", volume.url + "/admin/metrics").body.decode()
        return next(int(line.split()[1]) for line in text.splitlines()
                    if line.startswith("larder_volume_%s " % name))


def flip_in_file(path, at):
    """As a disk would: the times of the file are put back, as far as they can be."""
    is_ = os.stat(path)
    with open(path, "r+b", buffering=0) as f:
        byte = os.pread(f.fileno(), 1, at)[0]
        os.pwrite(f.fileno(), bytes([byte ^ 1 << at % 8]), at)
    os.utime(path, ns=(is_.st_atime_ns, is_.st_mtime_ns))


def replace_by_damaged(path, at):
    """The same by a rename, so that whoever is reading the good file goes on with it."""
    shutil.copyfile(path, path + ".damaged")
    for name in os.listxattr(path):
        os.setxattr(path + ".damaged", name, os.getxattr(path, name))
    flip_in_file(path + ".damaged", at)
    os.rename(path + ".damaged", path)


def forget_pages(path):
    """What of the file is in the page cache leaves it."""
    with open(path, "rb") as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class FlippedBitsTest(ReadsTest):
    def test_in_files(self):
        c = self.mastered(volumes=3)
        values = self.put_all(c)
        for key, value in values.items():  # so that they were verified, all of them
            self.expect(c.get(key), 200)
        copies = {}
        for i, (key, value) in enumerate(values.items()):
            copies[key] = self.copy(c, key, i // 3 % 3)
            flip_in_file(copies[key][1], self.position(len(value), i))
        for key, value in values.items():
            good = self.read(copies[key][0], value)
            self.assertTrue(good or len(value) == LARGE, "%s has two good copies" % key)
            poll("%s is read through the hole" % key, 20 * SLOW,
                 lambda: self.read(copies[key][0], value) and self.read(c.key_url(key), value))
        self.wait_healed(c, values, 3)

    def test_while_readers_go_on(self):
        c = self.mastered(volumes=3)
        values = self.put_all(c, 2)
        stop, wrong, right = threading.Event(), [], []

        def read_on(number):
            client, order = Client(), random.Random(number)
            try:
                while not stop.is_set():
                    key = order.choice(list(values))
                    if self.read(c.key_url(key), values[key], client):
                        right.append(key)  # a sum would lose what others add meanwhile
            except BaseException as e:
                wrong.append(e)
            finally:
                client.close()
        readers = [threading.Thread(target=read_on, args=(i,)) for i in range(6)]
        for reader in readers:
            reader.start()
        try:
            for i, (key, value) in enumerate(values.items()):
                path = self.copy(c, key, i % 3)[1]
                replace_by_damaged(path, self.position(len(value), i))
                time.sleep(0.2)  # in which they read; nothing is waited for
            # On a busy machine that was not long enough for so many.
            poll("they have read much", 60 * SLOW, lambda: len(right) > 20 or wrong)
        finally:
            stop.set()
            for reader in readers:
                reader.join()
        self.assertEqual(wrong, [])
        self.assertGreater(len(right), 20)
        for key, value in values.items():  # those that nobody has read yet
            for n in range(3):
                self.read(self.copy(c, key, n)[0], value)
        self.wait_healed(c, values, 3)

    def test_a_single_copy(self):
        """Where no other is left the reader gets an error, whoever asks."""
        c = self.mastered(volumes=1, replicas=1)
        values = self.put_all(c)
        for i, (key, value) in enumerate(values.items()):
            flip_in_file(self.copy(c, key)[1], self.position(len(value), i))
        for key, value in values.items():
            for _ in range(2):
                self.assertFalse(self.read(c.key_url(key), value))


class Image:
    """An ext4 on a loop device, whose blocks can be changed behind its back."""

    def __init__(self, path):
        self.path, self.image = path, path + ".image"
        os.makedirs(path)
        for argv in (["truncate", "-s", "96M", self.image],
                     ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", self.image],
                     ["mount", "-o", "loop", self.image, path]):
            subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=False)
        os.unlink(self.image)

    def flip(self, path, value, at):
        """A bit of the value on the disk, not in the page cache; the file system knows nothing."""
        forget_pages(path)
        os.sync()
        begin = at // 4096 * 4096
        block = value[begin:begin + 4096]
        with open(self.image, "r+b", buffering=0) as f:
            found = f.read().find(block)
            assert found >= 0, "the value is not on the disk"
            os.pwrite(f.fileno(), bytes([value[at] ^ 1 << at % 8]), found + at - begin)
            os.fsync(f.fileno())


def can_mount():
    if os.getuid() != 0 or not shutil.which("mkfs.ext4") or not shutil.which("losetup"):
        return False
    return subprocess.run(["losetup", "-f"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


def has_cachestat():
    """Before Linux 6.5 nobody tells what is in the page cache, and a value that was verified lately
    is believed for its minute."""
    return ctypes.CDLL(None).syscall(451, -1, None, None, 0) == -1 and \
        tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2]) >= (6, 5)


class DiskTest(ReadsTest):
    def test_blocks_that_change(self):
        """Below the file system: no time of the file tells, only what it reads."""
        if not can_mount():
            self.skipTest("needs root, mkfs.ext4 and loop devices")
        if not has_cachestat():
            self.skipTest("needs Linux 6.5, or a minute's wait")
        images = {}

        def make_disk(volume):
            images[volume] = Image(volume.dir)
            self.addCleanup(images[volume].close)
        c = self.mastered(before=make_disk, volumes=3)
        values = self.put_all(c)
        for key in values:
            self.expect(c.get(key), 200)
        copies = {}
        for i, (key, value) in enumerate(values.items()):
            place = c.record(key)["volumes"][i // 3 % 3]
            copies[key] = self.copy(c, key, i // 3 % 3)
            images[c.volume_of(place)].flip(copies[key][1], value, self.position(len(value), i))
        for key in values:  # who does not care has the damage brought into the page cache
            headers = {"Larder-Check": "none", "Range": "bytes=0-99"}
            self.expect(fetch("GET", copies[key][0], headers=headers), 206)
            fetch("GET", copies[key][0], headers={"Larder-Check": "none"})
        for key, value in values.items():
            good = self.read(copies[key][0], value)
            self.assertTrue(good or len(value) == LARGE, "%s has two good copies" % key)
            poll("%s is read through the hole" % key, 20 * SLOW,
                 lambda: self.read(copies[key][0], value) and self.read(c.key_url(key), value))
        self.assertGreaterEqual(sum(self.metric(v, "reads_damaged_total") for v in c.volumes),
                                len(values))
        for v in c.volumes:
            v.stop()  # nothing holds the disks any more
        c.check()

    def test_pages_that_come_back(self):
        """What has left the page cache is verified once more, and then no more."""
        c = self.mastered(volumes=1, replicas=1)
        values = self.put_all(c, 1)
        v = c.volumes[0]
        if not has_cachestat():
            self.skipTest("needs Linux 6.5")
        for i, (key, value) in enumerate(values.items()):
            url, path = self.copy(c, key)
            for round_ in range(2):
                before = self.metric(v, "reads_verified_total")
                forget_pages(path)
                for _ in range(3):
                    self.assertTrue(self.read(url, value))
                more = self.metric(v, "reads_verified_total") - before
                self.assertIn(more, (1, 2, 3))  # the kernel may forget them once more
                if more == 1:
                    break
            else:
                self.fail("verified again and again, though in the page cache")


class MemoryTest(ReadsTest):
    @unittest.skipIf(SANITIZED, "a sanitizer's memory is its own")
    def test_slow_readers(self):
        """Two hundred that take nothing of values that have to be verified."""
        c = self.mastered(volumes=1, replicas=1)
        v = c.volumes[0]
        values = {"/slow/%d" % size: os.urandom(size) for size in (MIB, LARGE)}
        readers = []
        for key, value in values.items():
            self.expect(c.put(key, value), 201)
            path = self.copy(c, key)[1]
            for i in range(150 if len(value) == MIB else 50):
                os.chmod(path, 0o600 + i % 2)  # another ctime: not verified any more
                reader = Raw(v.port, rcvbuf=4096)
                reader.send(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
                            % path[len(v.dir):].encode())
                status, headers = reader.head()
                self.assertEqual((status, int(headers["content-length"])), (200, len(value)))
                readers.append((reader, value))
        self.expect(fetch("GET", v.url + "/admin/health"), 200)
        peak = v.peak_memory()
        for reader, value in readers:
            reader.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
            body = bytearray(reader.buffer)
            while len(body) < len(value):
                piece = reader.sock.recv(MIB)
                self.assertTrue(piece, "cut after %d bytes" % len(body))
                body += piece
            self.assertTrue(body == value)
            reader.close()
        print("200 slow readers: %.1f MiB" % (max(peak, v.peak_memory()) / MIB))
        self.assertLessEqual(v.peak_memory(), 128 * MIB)
        self.assertEqual(self.metric(v, "reads_verified_total"), len(readers))


if __name__ == "__main__":
    unittest.main()
