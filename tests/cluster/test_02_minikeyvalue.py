"""In minikeyvalue's place: its clients, its data, its master over our volumes, ours over its index."""
import os
import unittest

import minikeyvalue
from harness import SMALL, ClusterTest, file_path, md5, mkv_path, placement, poll, quote

MIB = 1024 * 1024


class ClientTest(ClusterTest):
    """What minikeyvalue's clients do, and what they expect to be answered."""

    OPTIONS = {"volumes": 3, "replicas": 3}

    def test_put_get_delete(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, "onyou"), 201)
        self.assertEqual(self.expect(c.get(key), 200).body, b"onyou")
        self.expect(c.delete(key), 204)
        self.expect(c.get(key), 404)

    def test_double_delete(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, "onyou"), 201)
        self.expect(c.delete(key), 204)
        self.assertNotEqual(c.delete(key).status, 204)

    def test_double_put(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, "onyou"), 201)
        self.assertNotEqual(c.put(key, "onyou").status, 201)

    def test_double_put_with_delete(self):
        c, key = self.cluster, self.key()
        for _ in range(3):
            self.expect(c.put(key, "onyou"), 201)
            self.expect(c.delete(key), 204)

    def test_ten_keys(self):
        c, keys = self.cluster, [self.key("/%d" % i) for i in range(10)]
        for key in keys:
            self.expect(c.put(key, md5(key.encode())), 201)
        for key in keys:
            self.assertEqual(self.expect(c.get(key), 200).body.decode(), md5(key.encode()))
        for key in keys:
            self.expect(c.delete(key), 204)

    def test_range(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, "onyou"), 201)
        self.assertEqual(self.expect(c.get(key, Range="bytes=2-5"), 206).body, b"you")

    def test_head(self):
        c, key = self.cluster, self.key()
        self.assertEqual(self.expect(c.request("HEAD", key), 404).headers["content-length"], "0")
        self.expect(c.put(key, "onyou"), 201)
        answer = self.expect(c.request("HEAD", key), 200)
        self.assertEqual(answer.headers["content-length"], "5")

    def test_large_value(self):
        c, key, value = self.cluster, self.key(), b"a" * (16 * MIB)
        self.expect(c.put(key, value), 201)
        self.assertTrue(self.expect(c.get(key), 200).body == value)
        self.expect(c.delete(key), 204)

    def test_lists(self):
        c, key = self.cluster, self.key()
        for suffix in "12":
            self.expect(c.put(key + suffix, "eh"), 201)
        self.assertEqual(c.list(key), {"next": "", "keys": [key + "1", key + "2"]})
        self.assertEqual(c.list(key + "/DOES_NOT_EXIST"), {"next": "", "keys": []})

    def test_list_limit(self):
        c, prefix = self.cluster, self.key("/")
        keys = sorted(prefix + str(i) for i in range(12))
        for key in keys:
            self.expect(c.put(key, "0"), 201)
        self.assertEqual(c.list(prefix, limit=10), {"next": keys[10], "keys": keys[:10]})
        self.assertEqual(c.list(prefix, limit=10, start=keys[10]),
                         {"next": "", "keys": keys[10:]})

    def test_empty_value(self):
        self.expect(self.cluster.put(self.key(), ""), 411)

    def test_content_hash(self):
        c = self.cluster
        for i in range(20 if SMALL else 100):
            key = self.key("/%d" % i)
            self.expect(c.put(key, key), 201)
            answer = c.request("HEAD", key, follow=False)
            self.assertEqual(answer.headers["content-md5"], md5(key.encode()))


class TakeOverTest(ClusterTest):
    """larder over the index and the files of a minikeyvalue that was stopped."""

    NESTED = [b"/k?k?k?", b"/\xff\xff\xff", b"/a\xff\xff\xff\xff\xffb", b"/?/?/?/?/?/?/a"]

    def setUp(self):
        self.c = self.new_cluster(volumes=3, start=False)
        self.records, self.values = {}, {}
        for i in range(30):
            self.add(b"/mkv/%d" % i, hashed=i % 2 == 0)
        for key in self.NESTED:
            self.add(key, hashed=True)
        self.add(b"/unlinked", hashed=True, deleted=True)
        minikeyvalue.write_index(self.c.path("index"), self.records)
        for server in self.c.volumes:
            server.start()
        self.c.start_master()

    def add(self, key, hashed, deleted=False):
        """A key as minikeyvalue leaves it: the files as nginx stores its paths."""
        value = os.urandom(500)
        places = placement(key, self.c.names())
        for place in places:
            path = (self.c.volume_of(place).dir + "/" + place.split("/")[1]
                    + mkv_path(key).replace("//", "/").replace("//", "/"))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(value)
        self.records[key] = minikeyvalue.record(places, value if hashed else None, deleted)
        if not deleted:
            self.values[key] = value

    def test_everything_is_served(self):
        for key, value in self.values.items():
            answer = self.expect(self.c.get(key), 200)
            self.assertEqual(answer.body, value)
            hashed = "HASH" in self.records[key]
            self.assertEqual(answer.hops[0][1].get("content-md5"), md5(value) if hashed else None)
            self.assertEqual(answer.hops[0][1]["key-balance"], "balanced")
        listed = [k.encode("utf-8", "surrogateescape") for k in self.c.list("/")["keys"]]
        self.assertEqual(listed, sorted(self.values))
        self.assertEqual(self.c.list("/", "unlinked")["keys"], ["/unlinked"])
        self.expect(self.c.get("/unlinked"), 404)

    def test_it_goes_on_from_there(self):
        c = self.c
        self.expect(c.put("/mkv/1", "x"), 403)
        self.expect(c.put("/new", "a new value"), 201)
        self.expect(c.put("/unlinked", "again"), 201)
        self.assertEqual(self.expect(c.get("/unlinked"), 200).body, b"again")
        for key in [b"/mkv/1", *self.NESTED]:
            self.expect(c.delete(key), 204)
            self.expect(c.get(key), 404)
            self.expect(c.put(key, b"second " + key), 201)
            self.assertEqual(self.expect(c.get(key), 200).body, b"second " + key)
        self.expect(c.request("UNLINK", "/mkv/2"), 204)
        c.wait_idle()
        verify = c.larder("verify", "--deep")
        self.assertEqual(verify.returncode, 0, verify)

    def test_deleting_removes_their_files(self):
        for key in list(self.values) + [b"/unlinked"]:
            self.expect(self.c.delete(key), 204)
        poll("no file is left", 20, lambda: not any(self.c.all_files().values()))


class HandOverTest(ClusterTest):
    """minikeyvalue's master over larder's volumes, and over its index."""

    def test_their_master_over_our_volumes(self):
        c = self.new_cluster(volumes=4, replicas=3)
        master = minikeyvalue.Master(c.names())
        keys = [b"/theirs/%d" % i for i in range(25)] + [b"/b\xc3\xa9", b"/a b"]
        for key in keys:
            self.assertEqual(master.put(key, b"value of " + key), 201)
            self.assertEqual(master.put(key, b"x"), 403)
        for key in keys:
            answer = self.expect(master.get(key), 200)
            self.assertEqual(answer.body, b"value of " + key)
            self.assertEqual(self.expect(master.get(key, {"Range": "bytes=0-4"}), 206).body,
                             b"value")
        self.assertEqual(set(master.rebuild()), set(keys))
        self.assertEqual(master.rebuild(), {k: sorted(master.places(k)) for k in keys})
        self.assertEqual(master.delete(keys[0], unlink=True), 204)
        self.assertEqual(master.get(keys[0]), 404)
        self.assertEqual(master.put(keys[0], b"again"), 201)
        for key in keys:
            self.assertEqual(master.delete(key), 204)
            self.assertEqual(master.delete(key), 404)
        self.assertEqual(sum(map(len, c.all_files().values())), 0)

    def test_their_nested_names_on_our_volumes(self):
        c = self.new_cluster(volumes=3)
        master = minikeyvalue.Master(c.names())
        for key in TakeOverTest.NESTED:
            self.assertEqual(master.put(key, b"value of " + key), 201)
            self.assertEqual(self.expect(master.get(key), 200).body, b"value of " + key)
            self.assertEqual(master.delete(key), 204)
            self.assertEqual(master.get(key), 404)

    def test_their_rebalance_over_our_volumes(self):
        c = self.new_cluster(volumes=4)
        master = minikeyvalue.Master(c.names()[:3], replicas=2)
        keys = [b"/move/%d" % i for i in range(20)]
        for key in keys:
            self.assertEqual(master.put(key, b"value of " + key), 201)
        master.volumes = c.names()
        for key in keys:
            master.rebalance(key)
            self.assertEqual(self.expect(master.get(key), 200).body, b"value of " + key)
        self.assertEqual(master.rebuild(), {k: sorted(master.places(k)) for k in keys})

    def test_swapped_masters(self):
        """larder writes, minikeyvalue reads and writes, larder goes on."""
        c = self.new_cluster(volumes=3)
        for i in range(10):
            self.expect(c.put("/ours/%d" % i, "ours %d" % i), 201)
        self.expect(c.request("UNLINK", "/ours/3"), 204)
        self.expect(c.delete("/ours/4"), 204)
        c.wait_idle()
        c.master.stop()

        theirs = minikeyvalue.Master(c.names(), index=minikeyvalue.read_index(c.path("index")))
        for i in range(10):
            key, value = b"/ours/%d" % i, b"ours %d" % i
            if i == 4:
                self.assertEqual(theirs.lookup(key)[0], "HARD")
                continue
            self.assertEqual(theirs.lookup(key),
                             ("SOFT" if i == 3 else "NO", md5(value), theirs.places(key)))
            if i != 3:
                self.assertEqual(self.expect(theirs.get(key), 200).body, value)
        self.assertEqual(theirs.put(b"/theirs", b"written by them"), 201)
        minikeyvalue.write_index(c.path("index"), {b"/theirs": theirs.index[b"/theirs"]})

        c.start_master()
        c.client.close()
        self.assertEqual(self.expect(c.get("/theirs"), 200).body, b"written by them")
        self.assertEqual(self.expect(c.get("/ours/1"), 200).body, b"ours 1")
        self.expect(c.delete("/theirs"), 204)
        self.expect(c.put("/theirs", "ours now"), 201)

    def test_locations_are_theirs(self):
        """Where a key stands is what minikeyvalue would have answered."""
        c = self.new_cluster(volumes=3, replicas=1)
        for i in range(10):
            key = "/where/%d" % i
            self.expect(c.put(key, "x"), 201)
            location = c.request("GET", key, follow=False).headers["location"]
            wanted = "http://" + placement(key, c.names())[0]
            self.assertIn(location, (wanted + mkv_path(key), wanted + quote(mkv_path(key))))
            self.assertEqual(mkv_path(key), file_path(key))


if __name__ == "__main__":
    unittest.main()
