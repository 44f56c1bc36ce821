"""larder's master over real nginx volumes, set up as minikeyvalue's `volume` script does it."""
import os
import shutil
import subprocess
import unittest

import minikeyvalue
from harness import SMALL, SLOW, ClusterTest, curl, fetch, file_path, md5, placement, poll

MIB = 1024 * 1024


@unittest.skipUnless(shutil.which("nginx") or os.path.exists("/usr/sbin/nginx"), "no nginx here")
class NginxTest(ClusterTest):
    OPTIONS = {"volumes": 3, "nginx": True}

    def test_put_get_delete(self):
        c, key = self.cluster, self.key()
        self.expect(c.curl(key, "-L", "-X", "PUT", "-d", "value"), 201)
        self.assertEqual(self.expect(c.curl(key, "-L"), 200).body, b"value")
        self.assertEqual(sorted(c.places_with(key)), sorted(placement(key, c.names())))
        self.expect(c.put(key, "other"), 403)
        self.expect(c.curl(key, "-L", "-X", "DELETE"), 204)
        self.expect(c.get(key), 404)
        poll("the files are gone", 20 * SLOW, lambda: not c.places_with(key))
        self.expect(c.delete(key), 404)

    def test_headers(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, "hello"), 201)
        answer = self.expect(c.request("GET", key, follow=False), 302)
        self.assertEqual(answer.headers["content-md5"], md5(b"hello"))
        self.assertEqual(answer.headers["key-volumes"].split(","), placement(key, c.names()))
        self.assertEqual(answer.headers["key-balance"], "balanced")
        answer = self.expect(c.request("HEAD", key), 200)
        self.assertEqual(answer.headers["content-length"], "5")
        self.assertEqual(self.expect(c.get(key, Range="bytes=1-2"), 206).body, b"el")

    def test_sizes(self):
        c = self.cluster
        for size in (1, 65535, 65536, MIB + 1, (4 if SMALL else 32) * MIB):
            key, value = self.key(), os.urandom(size)
            self.expect(c.put(key, value), 201)
            self.assertTrue(self.expect(c.get(key), 200).body == value)
            key = self.key()
            self.expect(curl("-T", "-", c.key_url(key), data=value), 201)  # chunked
            self.assertTrue(self.expect(c.get(key), 200).body == value)

    def test_keys(self):
        c = self.cluster
        keys = [bytes([47, b]) + b"x" for b in range(1, 256)]
        keys += [b"//", b"/../x", b"/a/", b"/%2e", b"/?/?/?", b"/\xff\xff\xff"]
        keys += [b"/" + b"?" * (n - 1) for n in (190, 192, 255, 400, 1024)]
        for key in keys[::8] if SMALL else keys:
            self.expect(c.put(key, b"value of " + key), 201)
            self.assertEqual(self.expect(c.get(key), 200).body, b"value of " + key)
            self.expect(c.delete(key), 204)

    def test_unlink(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, "x"), 201)
        self.expect(c.request("UNLINK", key), 204)
        self.expect(c.get(key), 404)
        self.assertEqual(c.list(key, "unlinked")["keys"], [key])
        self.expect(c.put(key, "y"), 201)
        self.assertEqual(self.expect(c.get(key), 200).body, b"y")

    def test_refused_value_leaves_nothing(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, "x", Content_MD5=md5(b"y")), 422)
        self.expect(c.get(key), 404)
        poll("nothing is left", 30 * SLOW, lambda: not c.places_with(key))

    def test_their_master_beside_ours(self):
        """Both masters find each other's files: names and places are the same."""
        c = self.cluster
        theirs = minikeyvalue.Master(c.names())
        for i in range(10):
            key = b"/beside/%d" % i
            self.assertEqual(theirs.put(key, b"theirs"), 201)
            answer = fetch("GET", "http://" + placement(key, c.names())[0] + file_path(key))
            self.assertEqual(self.expect(answer, 200).body, b"theirs")
            self.assertEqual(theirs.delete(key), 204)


@unittest.skipUnless(shutil.which("nginx") or os.path.exists("/usr/sbin/nginx"), "no nginx here")
class NginxFailuresTest(ClusterTest):
    def test_volume_that_is_down(self):
        c = self.new_cluster(volumes=3, nginx=True, master_options=["--overwrite", "--grace", "0s"])
        for i in range(10):
            self.expect(c.put("/n/%d" % i, "value %d" % i), 201)
        c.volumes[1].kill()
        poll("the master knows", 20 * SLOW,
             lambda: fetch("GET", c.url + "/admin/volumes").body.count(b'"down"') == 1)
        for i in range(10):
            self.assertEqual(self.expect(c.get("/n/%d" % i), 200).body, b"value %d" % i)
        self.expect(c.put("/n/0", "a newer value"), 201)
        self.expect(c.delete("/n/1"), 204)
        c.volumes[1].start()
        c.wait_idle()
        self.assertEqual(self.expect(c.get("/n/0"), 200).body, b"a newer value")
        self.assertEqual(c.places_with("/n/1"), [])
        self.assertEqual(sum(map(len, c.all_files().values())), 3 * 9)

    def test_swap_of_the_master(self):
        """minikeyvalue's index over nginx volumes, taken over by larder."""
        c = self.new_cluster(volumes=3, nginx=True, start=False)
        for server in c.volumes:
            server.start()
        theirs = minikeyvalue.Master(c.names())
        keys = [b"/swap/%d" % i for i in range(15)] + [b"/k?k?k?", b"/\xff\xff\xff"]
        for key in keys:
            self.assertEqual(theirs.put(key, b"value of " + key), 201)
        minikeyvalue.write_index(c.path("index"), theirs.index)
        c.start_master()
        for key in keys:
            answer = self.expect(c.get(key), 200)
            self.assertEqual(answer.body, b"value of " + key)
            self.assertEqual(answer.hops[0][1]["content-md5"], md5(answer.body))
        for key in keys[::2]:
            self.expect(c.delete(key), 204)
        for key in keys[::2]:
            self.expect(c.put(key, "ours"), 201)
        c.wait_idle()
        verify = c.larder("verify", "--deep")
        self.assertEqual(verify.returncode, 0, verify)
        found = subprocess.run(["find", *[v.dir for v in c.volumes], "-type", "f"],
                               stdout=subprocess.PIPE, check=True).stdout.splitlines()
        self.assertEqual(len(found), 3 * len(keys))


if __name__ == "__main__":
    unittest.main()
