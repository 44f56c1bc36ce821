"""Every request of the client API, as a user types it: curl -L, and what it leaves on the disks."""
import json
import os
import tempfile
import unittest

from harness import (SMALL, ClusterTest, Raw, curl, fetch, file_path, md5, placement,
                     poll, quote, raw)

KIB, MIB = 1024, 1024 * 1024


class CurlTest(ClusterTest):
    """The command lines of the README."""

    OPTIONS = {"volumes": 4, "replicas": 3}

    def test_put_get_delete(self):
        c, key = self.cluster, self.key()
        self.expect(c.curl(key, "-L"), 404)
        self.expect(c.curl(key, "-L", "-X", "PUT", "-d", "a value"), 201)
        answer = self.expect(c.curl(key, "-L"), 200)
        self.assertEqual(answer.body, b"a value")
        self.expect(c.curl(key, "-L", "-X", "DELETE"), 204)
        answer = self.expect(c.curl(key, "-L"), 404)
        self.assertEqual(answer.body, b"")

    def test_put_a_file(self):
        c = self.cluster
        for size in (1, 3000, 3 * MIB):
            key, value = self.key(), os.urandom(size)
            with tempfile.NamedTemporaryFile() as f:
                f.write(value)
                f.flush()
                self.expect(c.curl(key, "-L", "-T", f.name), 201)
            self.assertEqual(self.expect(c.curl(key, "-L"), 200).body, value)

    def test_put_from_standard_input_is_chunked(self):
        c = self.cluster
        for size in (1, 100000, 3 * MIB):
            key, value = self.key(), os.urandom(size)
            self.expect(c.curl(key, "-L", "-T", "-", data=value), 201)
            self.assertEqual(self.expect(c.curl(key, "-L"), 200).body, value)

    def test_put_with_and_without_expect(self):
        c = self.cluster
        for expect in ("Expect: 100-continue", "Expect:"):
            for size in (5, 2 * MIB):
                key, value = self.key(), os.urandom(size)
                args = ("-X", "PUT", "-H", expect, "--data-binary", "@-")
                self.expect(c.curl(key, "-L", *args, data=value), 201)
                self.assertEqual(self.expect(c.curl(key, "-L"), 200).body, value)

    def test_head(self):
        c, key = self.cluster, self.key()
        self.expect(c.curl(key, "-I", "-L"), 404)
        self.expect(c.curl(key, "-X", "PUT", "-d", "12345"), 201)
        answer = self.expect(c.curl(key, "-I"), 302)
        self.assertEqual(answer.headers["content-md5"], md5(b"12345"))
        answer = self.expect(c.curl(key, "-I", "-L"), 200)
        self.assertEqual(answer.headers["content-length"], "5")

    def test_range_through_the_redirect(self):
        c, key = self.cluster, self.key()
        self.expect(c.curl(key, "-T", "-", data=b"0123456789"), 201)
        answer = self.expect(c.curl(key, "-L", "-r", "2-5"), 206)
        self.assertEqual(answer.body, b"2345")
        self.assertEqual(answer.headers["content-range"], "bytes 2-5/10")
        self.assertEqual(self.expect(c.curl(key, "-L", "-r", "-3"), 206).body, b"789")

    def test_unlink(self):
        c = self.cluster
        for how in (("-X", "UNLINK"), ("-X", "DELETE")):
            key = self.key()
            query = "unlink" if how[1] == "DELETE" else ""
            self.expect(c.curl(key, *how, query=query), 404)
            self.expect(c.curl(key, "-X", "PUT", "-d", "kept"), 201)
            self.expect(c.curl(key, *how, query=query), 204)
            self.expect(c.curl(key, "-L"), 404)
            self.expect(c.curl(key, *how, query=query), 404)
            self.assertEqual(c.list(key, "unlinked")["keys"], [key])
            self.assertEqual(c.list(key)["keys"], [])
            self.assertEqual(len(c.places_with(key)), 3)  # the value is kept
            self.expect(c.curl(key, "-X", "DELETE"), 204)
            self.assertEqual(c.list(key, "unlinked")["keys"], [])
            poll("the files are gone", 20, lambda: not c.places_with(key))

    def test_put_after_unlink(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, "one"), 201)
        self.expect(c.request("UNLINK", key), 204)
        self.expect(c.put(key, "two"), 201)
        self.assertEqual(self.expect(c.get(key), 200).body, b"two")
        self.assertEqual(c.list(key, "unlinked")["keys"], [])

    def test_rebalance_of_what_stands_right(self):
        c, key = self.cluster, self.key()
        self.expect(c.curl(key, "-X", "REBALANCE"), 404)
        self.expect(c.put(key, "x"), 201)
        self.assertEqual(self.expect(c.curl(key, "-X", "REBALANCE"), 204).headers["larder-moved"],
                         "0")
        self.assertEqual(self.expect(c.get(key), 200).body, b"x")


class AnswersTest(ClusterTest):
    """The answers of the table, and that a refusal changes nothing."""

    OPTIONS = {"volumes": 4, "replicas": 3, "master_options": ["--max-value", "100k"]}

    def test_headers_of_a_get(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, "hello"), 201)
        answer = self.expect(c.request("GET", key, follow=False), 302)
        places = placement(key, c.names())[:3]
        self.assertEqual(answer.headers["content-md5"], md5(b"hello"))
        self.assertEqual(answer.headers["key-volumes"].split(","), places)
        self.assertEqual(answer.headers["key-balance"], "balanced")
        self.assertEqual(answer.headers["content-length"], "0")
        self.assertIn(answer.headers["location"],
                      ["http://" + p + quote(file_path(key)) for p in places]
                      + ["http://" + p + file_path(key) for p in places])

    def test_files_on_the_disks(self):
        c = self.cluster
        for i in range(20):
            key, value = self.key("/file%d" % i), os.urandom(1000 + i)
            self.expect(c.put(key, value), 201)
            places = placement(key, c.names())[:3]
            self.assertEqual(sorted(c.places_with(key)), sorted(places))
            for place in places:
                path = c.volume_of(place).dir + "/" + place.split("/")[1] + file_path(key)
                with open(path, "rb") as f:
                    self.assertEqual(f.read(), value)
                self.assertEqual(os.getxattr(path, "user.larder.md5"), md5(value).encode())

    def test_existing_key_is_forbidden(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, "one"), 201)
        self.expect(c.put(key, "two"), 403)
        self.assertEqual(self.expect(c.get(key), 200).body, b"one")

    def test_delete_of_nothing(self):
        c, key = self.cluster, self.key()
        self.expect(c.delete(key), 404)
        self.expect(c.put(key, "one"), 201)
        self.expect(c.delete(key), 204)
        self.expect(c.delete(key), 404)
        self.expect(c.put(key, "again"), 201)
        self.assertEqual(self.expect(c.get(key), 200).body, b"again")

    def test_write_under_way_is_a_conflict(self):
        c, key = self.cluster, self.key()
        with Raw(c.port) as slow:
            slow.send(b"PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
                      b"Expect: 100-continue\r\n\r\n" % quote(key).encode())
            self.assertEqual(slow.answer().status, 100)
            slow.send(b"12345")
            self.expect(c.put(key, "other"), 409)
            self.expect(c.delete(key), 409)
            self.expect(c.request("UNLINK", key), 409)
            self.expect(c.get(key), 404)  # half of it is not seen
            self.assertEqual(slow.send(b"67890").answer().status, 201)
        self.assertEqual(self.expect(c.get(key), 200).body, b"1234567890")

    def test_empty_value(self):
        c, key = self.cluster, self.key()
        self.expect(c.curl(key, "-X", "PUT", "-d", ""), 411)
        self.expect(c.curl(key, "-T", "/dev/null"), 411)
        self.expect(c.curl(key, "-T", "-", data=b""), 411)
        self.expect(c.curl(key, "-X", "PUT"), 411)
        self.expect(c.get(key), 404)

    def test_value_over_the_limit(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, b"x" * (100 * KIB + 1)), 413)
        self.expect(c.curl(key, "-T", "-", data=b"x" * (100 * KIB + 1)), 413)
        self.expect(c.get(key), 404)
        poll("nothing is left", 20, lambda: not c.places_with(key))
        self.expect(c.put(key, b"x" * (100 * KIB)), 201)

    def test_key_over_the_limit(self):
        c = self.cluster
        self.expect(c.put("/" + "k" * 1023, "x"), 201)
        for method in ("PUT", "GET", "DELETE"):
            body = b"x" if method == "PUT" else None
            self.expect(c.request(method, "/" + "k" * 1024, body), 414)

    def test_root_is_no_key(self):
        self.expect(self.cluster.put("/", "x"), 400)

    def test_digest(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, "hello", Content_MD5=md5(b"other")), 422)
        self.expect(c.get(key), 404)
        poll("nothing is left", 20, lambda: not c.places_with(key))
        self.expect(c.put(key, "hello", Content_MD5="XUFAKrxLKna5cZ2REBfFkg=="), 201)
        key = self.key()
        self.expect(c.put(key, "hello", Content_MD5=md5(b"hello")), 201)
        self.expect(c.put(self.key(), "hello", Content_MD5="nonsense"), 400, 422)

    def test_unknown_methods(self):
        c, key = self.cluster, self.key()
        for method in ("POST", "PATCH", "OPTIONS", "TRACE", "MKCOL", "get"):
            self.expect(c.request(method, key, b"x" if method == "POST" else None), 405)

    def test_unknown_queries_are_ignored(self):
        c, key = self.cluster, self.key()
        self.expect(c.request("PUT", key, b"x", query="a=b&c"), 201)
        self.assertEqual(self.expect(c.request("GET", key, query="listen=1"), 200).body, b"x")
        self.expect(c.request("DELETE", key, query="x"), 204)

    def test_admin_is_reserved(self):
        c = self.cluster
        self.expect(c.put("/admin/mine", "x"), 400, 403, 404, 405)
        self.expect(c.put("/administrator", "x"), 201)
        self.assertEqual(c.list("/admin")["keys"], ["/administrator"])

    def test_admin_pages(self):
        c = self.cluster
        self.expect(fetch("GET", c.url + "/admin/health"), 200)
        self.expect(fetch("GET", c.url + "/admin/ready"), 200)
        metrics = self.expect(fetch("GET", c.url + "/admin/metrics"), 200).body.decode()
        for line in metrics.splitlines():
            self.assertRegex(line, r"^(#.*|[a-z_]+(\{.*\})? [-+0-9.e]+)?$")
        volumes = json.dumps(c.admin("/admin/volumes"))
        for name in c.names():
            self.assertIn(name, volumes)
        c.admin("/admin/status")

    def test_add_volume_twice(self):
        c = self.cluster
        name = c.names()[0]
        answer = self.expect(fetch("POST", c.url + "/admin/add-volume", name.encode()), 200)
        self.assertIn(b"already", answer.body)
        for bad in (b"", b"nonsense", b"https://h:1", b"h:1,h:2", b"h:0", b"h:1/../x"):
            self.expect(fetch("POST", c.url + "/admin/add-volume", bad), 400, 411)


class KeysTest(ClusterTest):
    """Keys are bytes, and come back as they were given."""

    OPTIONS = {"volumes": 3, "replicas": 2}

    def check_key(self, key):
        c, value = self.cluster, b"value of " + key
        self.expect(c.put(key, value), 201)
        self.assertEqual(self.expect(c.get(key), 200).body, value)
        listed = [k.encode("utf-8", "surrogateescape") for k in c.list(key)["keys"]]
        self.assertIn(key, listed)
        self.expect(c.delete(key), 204)

    def test_every_byte(self):
        for byte in range(1, 256):
            self.check_key(b"/byte/" + bytes([byte]) + b"/x")

    def test_bytes_that_web_servers_like_to_change(self):
        for key in (b"//", b"//a", b"/a//b", b"/a/", b"/..", b"/../a", b"/a/../b", b"/./a", b"/a/.",
                    b"/%2e%2e/x", b"/%2F", b"/a%00b", b"/%zz", b"/a?b", b"/a#b", b"/a+b", b"/a b",
                    b"/~", b"/\\", b"/.larder/x", b"/sv00/aa/bb/x", b"/\xff\xfe", b"/\xc3\xa9",
                    b"/\r\nX-Evil: 1", b"/http://other/"):
            self.check_key(key)

    def test_escapes_are_decoded_once(self):
        c = self.cluster
        self.expect(curl("-X", "PUT", "-d", "one", c.url + "/esc/%2e%2e/%2Fa"), 201)
        self.assertEqual(self.expect(c.get("/esc/..//a"), 200).body, b"one")
        self.expect(curl("-X", "PUT", "-d", "two", c.url + "/esc/%252e"), 201)
        self.assertEqual(self.expect(c.get("/esc/%2e"), 200).body, b"two")
        self.expect(c.get("/esc/."), 404)

    def test_lengths(self):
        for length in (2, 188, 189, 190, 191, 192, 255, 256, 377, 378, 1023, 1024):
            self.check_key(b"/" + b"k" * (length - 1))
            self.check_key(b"/" + b"?" * (length - 1))

    def test_bad_escapes_are_refused(self):
        for path in ("/%", "/%2", "/%zz", "/a%00b", "/%00"):
            answer = raw(self.cluster.port, b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
            self.expect(answer, 400)


class ValuesTest(ClusterTest):
    OPTIONS = {"volumes": 3, "replicas": 3}

    def test_sizes(self):
        c = self.cluster
        sizes = [1, 2, 255, 4096, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 256 * KIB - 1, 256 * KIB,
                 256 * KIB + 1, MIB - 1, MIB, MIB + 1, (8 if SMALL else 64) * MIB]
        for size in sizes:
            key, value = self.key(), os.urandom(size)
            self.expect(c.put(key, value), 201)
            answer = self.expect(c.get(key), 200)
            self.assertTrue(answer.body == value, "%d bytes" % size)
            self.assertEqual(answer.hops[0][1]["content-md5"], md5(value))
            for place in placement(key, c.names()):
                copy = fetch("GET", "http://" + place + file_path(key))
                self.assertTrue(self.expect(copy, 200).body == value, "%d, %s" % (size, place))

    def test_content_type_is_kept(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, "{}", Content_Type="application/json"), 201)
        self.assertEqual(self.expect(c.get(key), 200).headers["content-type"], "application/json")


class ListsTest(ClusterTest):
    OPTIONS = {"volumes": 1, "replicas": 1}

    def test_lists(self):
        c = self.cluster
        keys = ["/lists/%03d" % i for i in range(25)]
        for key in keys:
            self.expect(c.put(key, "x"), 201)
        self.assertEqual(c.list("/lists/"), {"next": "", "keys": keys})
        self.assertEqual(c.list("/lists/00"), {"next": "", "keys": keys[:10]})
        self.assertEqual(c.list("/lists/zz"), {"next": "", "keys": []})
        self.assertEqual(c.list("/lists/", limit=10), {"next": keys[10], "keys": keys[:10]})
        self.assertEqual(c.list("/lists/", limit=25), {"next": "", "keys": keys})
        self.assertEqual(c.list("/lists/", start=keys[20]), {"next": "", "keys": keys[20:]})
        self.assertEqual(c.list("/lists/", start="/lists/0199")["keys"], keys[20:])
        self.assertEqual(c.list("/lists/", start=keys[20], limit=2),
                         {"next": keys[22], "keys": keys[20:22]})
        self.assertEqual(c.list("/lists/00", start="/lists/020")["keys"], [])
        for what in ("unlinked", "unlinked&limit=5"):
            self.assertEqual(c.list("/lists/", what), {"next": "", "keys": []})

    def test_pages(self):
        c = self.cluster
        keys = sorted("/pages/%s" % md5(bytes([i])) for i in range(60))
        for i, key in enumerate(keys):
            self.expect(c.put(key, "x"), 201)
            if i % 3 == 0:
                self.expect(c.request("UNLINK", key), 204)
        for what, wanted in (("list", [k for i, k in enumerate(keys) if i % 3]),
                             ("unlinked", keys[::3])):
            found, start = [], None
            while start != "":
                more = {} if start is None else {"start": start}
                page = c.list("/pages/", what, limit=7, **more)
                self.assertLessEqual(len(page["keys"]), 7)
                found += page["keys"]
                start = page["next"]
            self.assertEqual(found, wanted)

    def test_order_is_bytewise(self):
        c = self.cluster
        keys = [b"/order/" + k for k in (b"B", b"a", b"a/b", b"aa", b"\xc3\xa9", b"\xff")]
        for key in reversed(keys):
            self.expect(c.put(key, "x"), 201)
        listed = c.list("/order/")["keys"]
        self.assertEqual([k.encode("utf-8", "surrogateescape") for k in listed], keys)

    def test_bad_limits(self):
        for limit in ("x", "-1", "1x", "99999999999999999999"):
            self.expect(self.cluster.request("GET", "/", query="list&limit=" + limit), 400, 413)

    def test_head_of_a_list(self):
        self.expect(self.cluster.curl("/", "-I", query="list"), 200)


class ProtectTest(ClusterTest):
    OPTIONS = {"volumes": 1, "replicas": 1, "master_options": ["--protect"]}

    def test_delete_needs_an_unlink(self):
        c, key = self.cluster, self.key()
        self.expect(c.put(key, "x"), 201)
        self.expect(c.delete(key), 403)
        self.assertEqual(self.expect(c.get(key), 200).body, b"x")
        self.expect(c.request("UNLINK", key), 204)
        self.expect(c.delete(key), 204)
        self.expect(c.delete(key), 404)


class OtherOptionsTest(ClusterTest):
    def test_fallback(self):
        other = self.new_cluster(volumes=1)
        self.expect(other.put("/there", "from the other"), 201)
        c = self.new_cluster(volumes=1, master_options=["--fallback",
                                                        "127.0.0.1:%d" % other.port])
        self.assertEqual(self.expect(c.get("/there"), 200).body, b"from the other")
        self.expect(c.get("/nowhere"), 404)
        self.expect(c.put("/here", "mine"), 201)
        self.assertEqual(self.expect(c.get("/here"), 200).body, b"mine")

    def test_no_md5sum_and_one_subvolume(self):
        c = self.new_cluster(volumes=3, replicas=2, subvolumes=1,
                             master_options=["-no-md5sum"])
        self.expect(c.put("/a/b", "x"), 201)
        answer = self.expect(c.request("GET", "/a/b", follow=False), 302)
        places = placement("/a/b", c.names(), 1)[:2]
        self.assertNotIn("content-md5", answer.headers)
        self.assertEqual(answer.headers["key-volumes"].split(","), places)
        self.assertEqual(sorted(c.places_with("/a/b")), sorted(places))
        self.assertEqual(self.expect(c.get("/a/b"), 200).body, b"x")

    def test_values_survive_a_restart(self):
        c = self.new_cluster(volumes=2)
        for i in range(20):
            self.expect(c.put("/restart/%d" % i, "value %d" % i), 201)
        for server in c.servers():
            server.stop()
        for server in c.volumes:
            server.start()
        c.start_master()
        c.client.close()
        for i in range(20):
            self.assertEqual(self.expect(c.get("/restart/%d" % i), 200).body, b"value %d" % i)
        self.assertEqual(len(c.list("/restart/")["keys"]), 20)


if __name__ == "__main__":
    unittest.main()
