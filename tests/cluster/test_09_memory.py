"""Values stream: however large they are, and however many, little of them is in memory.

With CLUSTER_SMALL, and under sanitizers, the values are smaller, and the bounds wider.
"""
import hashlib
import os
import subprocess
import unittest

from harness import SANITIZED, SMALL, ClusterTest, Raw, fetch, file_path, placement, quote

MIB = 1024 * 1024
SPARE = 20 if SANITIZED else 1  # a sanitizer's own memory


class MemoryTest(ClusterTest):
    def make_file(self, c, size):
        """A file that costs no disk, and its MD5."""
        path, digest, piece = c.path("source"), hashlib.md5(), bytes(MIB)
        with open(path, "wb") as f:
            f.truncate(size)
        for _ in range(size // MIB):
            digest.update(piece)
        return path, digest.hexdigest()

    def check_memory(self, what, server, limit):
        peak = server.peak_memory()
        print("%s: %s had %.1f MiB at most" % (what, server.name, peak / MIB))
        self.assertLessEqual(peak, limit * SPARE * MIB)

    def test_one_large_value(self):
        c = self.new_cluster(volumes=3)
        size = (64 if SMALL else 1024) * MIB
        source, digest = self.make_file(c, size)
        for i, args in enumerate((("-T", source), ("-T", source, "-H",
                                                   "Transfer-Encoding: chunked"))):
            if i and not SMALL:
                continue  # once is enough for so many bytes
            key = "/large/%d" % i
            self.expect(c.curl(key, *args, timeout=300), 201)
            answer = self.expect(c.request("HEAD", key), 200)
            self.assertEqual(answer.headers["content-length"], str(size))
            self.assertEqual(answer.hops[0][1]["content-md5"], digest)
        read = subprocess.run(["sh", "-c", 'curl -sL "$1" | md5sum', "-", c.key_url("/large/0")],
                              stdout=subprocess.PIPE, check=True)
        self.assertEqual(read.stdout.split()[0].decode(), digest)
        for place in placement("/large/0", c.names()):
            answer = fetch("HEAD", "http://" + place + file_path("/large/0"))
            self.assertEqual(answer.headers["content-md5"], digest)
        for server in c.servers():
            self.check_memory("%d MiB" % (size // MIB), server, 32)
        os.remove(source)

    def test_many_at_once(self):
        # On a busy machine a volume may be silent for a while; what counts here is memory.
        c = self.new_cluster(volumes=3, master_options=["--voltimeout", "10s"])
        size = (2 if SMALL else 64) * MIB
        source, digest = self.make_file(c, size)
        uploads = [subprocess.Popen(["curl", "-sSf", "-q", "-T", source, "-H", "Expect:",
                                     c.key_url("/many/%d" % i)], stderr=subprocess.PIPE)
                   for i in range(64)]
        errors = [(u.communicate()[1], u.returncode) for u in uploads]
        self.assertEqual([e for e in errors if e[1]], [])
        for i in range(64):
            answer = self.expect(c.request("HEAD", "/many/%d" % i, follow=False), 302)
            self.assertEqual(answer.headers["content-md5"], digest)
        self.check_memory("64 x %d MiB" % (size // MIB), c.master, 192)
        for volume in c.volumes:
            self.check_memory("64 x %d MiB" % (size // MIB), volume, 192)

    def test_slow_readers_and_writers(self):
        """Fifty uploads that stand still hold no more than a window each."""
        c = self.new_cluster(volumes=3)
        connections = []
        for i in range(50):
            connection = Raw(c.port)
            connection.send(b"PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                            % (quote("/still/%d" % i).encode(), 100 * MIB) + bytes(2 * MIB))
            connections.append(connection)
        self.expect(fetch("GET", c.url + "/admin/health"), 200)
        self.check_memory("50 uploads", c.master, 160)
        for connection in connections:
            connection.close()


if __name__ == "__main__":
    unittest.main()
