"""A volume by itself: values, ranges, conditions, listings, identities, and how it finds its master."""
import email.utils
import json
import os
import time
import unittest

from harness import (SLOW, ClusterTest, Raw, curl, fetch, file_path, free_port, md5, nginx_server,
                     placement, poll, quote, raw)

MIB = 1024 * 1024


class VolumeTest(ClusterTest):
    """One volume; its master knows nothing of what these tests do."""

    OPTIONS = {"volumes": 1}

    def setUp(self):
        self.volume = self.cluster.volumes[0]

    def at(self, path):
        return self.volume.url + path

    def path(self, name="x"):
        return "/sv00/%s/%s" % (self.id().split(".")[-1], name)

    def put(self, path, value, status=201, **headers):
        return self.expect(fetch("PUT", self.at(path), value, headers), status)

    def get(self, path, status=200, method="GET", **headers):
        headers = {n.replace("_", "-"): v for n, v in headers.items()}
        return self.expect(fetch(method, self.at(path), None, headers, follow=False), status)

    def disk(self, path):
        return self.volume.dir + path


class ValuesTest(VolumeTest):
    def test_put_get_replace_delete(self):
        path = self.path()
        answer = self.put(path, b"one")
        self.assertEqual(answer.headers["content-md5"], md5(b"one"))
        self.assertEqual(self.get(path).body, b"one")
        self.assertEqual(open(self.disk(path), "rb").read(), b"one")
        self.put(path, b"two!", 204)
        self.assertEqual(self.get(path).body, b"two!")
        self.expect(fetch("DELETE", self.at(path)), 204)
        self.get(path, 404)
        self.expect(fetch("DELETE", self.at(path)), 404)
        self.assertFalse(os.path.exists(self.disk(path)))

    def test_curl(self):
        path, value = self.path(), os.urandom(3 * MIB)
        self.expect(curl("-T", "-", self.at(path), data=value), 201)
        self.assertTrue(self.expect(curl(self.at(path)), 200).body == value)
        self.expect(curl("-X", "DELETE", self.at(path)), 204)

    def test_values_without_subvolume(self):
        self.put("/plain/file", b"x")
        self.assertEqual(self.get("/plain/file").body, b"x")
        self.expect(fetch("DELETE", self.at("/plain/file")), 204)

    def test_headers(self):
        path = self.path()
        self.put(path, b"12345", **{"Content-Type": "text/x-mine"})
        for method in ("GET", "HEAD"):
            answer = self.get(path, method=method)
            self.assertEqual(answer.headers["content-length"], "5")
            self.assertEqual(answer.headers["content-md5"], md5(b"12345"))
            self.assertEqual(answer.headers["content-type"], "text/x-mine")
            self.assertRegex(answer.headers["etag"], r'^"[^"]+"$')
            self.assertEqual(answer.headers["accept-ranges"], "bytes")
            modified = email.utils.parsedate_to_datetime(answer.headers["last-modified"])
            self.assertLess(abs(modified.timestamp() - time.time()), 600)
        self.assertEqual(self.get(path, method="HEAD").body, b"")

    def test_digest(self):
        path = self.path()
        self.put(path, b"x", 422, **{"Content-MD5": md5(b"y")})
        self.get(path, 404)
        self.put(path, b"x", 201, **{"Content-MD5": md5(b"x")})
        self.put(path, b"z", 422, **{"Content-MD5": md5(b"y")})
        self.assertEqual(self.get(path).body, b"x")

    def test_file_without_attributes_is_good(self):
        path = self.path()
        self.put(path, b"attributes")
        for name in os.listxattr(self.disk(path)):
            os.removexattr(self.disk(path), name)
        self.assertEqual(self.get(path).body, b"attributes")
        self.put(self.path("new"), b"x")
        with open(self.disk(self.path("mine")), "w") as f:
            f.write("by hand")
        self.assertEqual(self.get(self.path("mine")).body, b"by hand")

    def test_attributes(self):
        path = self.path()
        self.put(path, b"12345")
        attributes = {n: os.getxattr(self.disk(path), n) for n in os.listxattr(self.disk(path))}
        self.assertEqual(attributes["user.larder.md5"], md5(b"12345").encode())
        self.assertEqual(attributes["user.larder.size"], b"5")
        self.assertLess(abs(int(attributes["user.larder.created"]) / 1000 - time.time()), 600)
        self.expect(fetch("UNLINK", self.at(path)), 204)
        self.assertEqual(os.getxattr(self.disk(path), "user.larder.unlinked"), b"1")
        self.expect(fetch("UNLINK", self.at(self.path("absent"))), 404)

    def test_shortened_value_is_never_served(self):
        path = self.path()
        self.put(path, b"x" * 1000)
        os.truncate(self.disk(path), 500)
        self.get(path, 404)
        poll("it is set aside", 20 * SLOW, lambda: not os.path.exists(self.disk(path)))
        self.put(path, b"whole again", 201)
        self.assertEqual(self.get(path).body, b"whole again")

    def test_broken_upload_leaves_nothing(self):
        path = self.path()
        with Raw(self.volume.port) as connection:
            connection.send(b"PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
                            % path.encode() + b"x" * 500000)
        temp = os.path.join(self.volume.dir, "sv00/.larder/tmp")
        poll("the temp file is gone", 20 * SLOW,
             lambda: not os.path.exists(temp) or not os.listdir(temp))
        self.get(path, 404)
        self.assertFalse(os.path.exists(self.disk(path)))

    def test_paths_that_lead_elsewhere(self):
        open(self.cluster.path("secret"), "w").close()
        for path in ("/../secret", "/sv00/../../secret", "/%2e%2e/secret", "/sv00/%2e%2e/x",
                     "/.larder/id", "/sv00/.larder/id", "/a/./b", "/a/%2e/b", "/%00", "/a%00b",
                     "/sv00/" + "n" * 256, "/%zz", "/..%2fsecret", "/%2elarder/id"):
            for method in ("GET", "PUT", "DELETE"):
                body = b"x" if method == "PUT" else None
                answer = fetch(method, self.at(path), body, follow=False)
                self.expect(answer, 400)
        self.assertEqual(os.path.getsize(self.cluster.path("secret")), 0)

    def test_slashes_are_merged(self):
        self.put("/sv00//double///slash", b"x")
        self.assertEqual(self.get("/sv00/double/slash").body, b"x")
        self.assertEqual(self.get("//sv00/double//slash").body, b"x")


class RangesTest(VolumeTest):
    VALUE = bytes(range(256)) * 40  # 10,240 bytes

    def setUp(self):
        super().setUp()
        self.file = self.path("v")
        self.put(self.file, self.VALUE)

    def check(self, text, first, last):
        answer = self.get(self.file, 206, Range=text)
        self.assertEqual(answer.body, self.VALUE[first:last + 1], text)
        self.assertEqual(answer.headers["content-range"], "bytes %d-%d/10240" % (first, last))
        # RFC 9110 defines ranges for GET only, nginx answers HEAD alike: either will do.
        head = fetch("HEAD", self.at(self.file), None, {"Range": text})
        length = {200: 10240, 206: last - first + 1}[head.status]
        self.assertEqual(head.headers["content-length"], str(length))

    def test_single_ranges(self):
        for text, first, last in (("bytes=0-9", 0, 9), ("bytes=0-0", 0, 0),
                                  ("bytes=10239-10239", 10239, 10239), ("bytes=5000-", 5000, 10239),
                                  ("bytes=-100", 10140, 10239), ("bytes=-99999", 0, 10239),
                                  ("bytes=10000-99999", 10000, 10239), ("bytes=0-", 0, 10239),
                                  ("bytes=9-%d" % (2 ** 63), 9, 10239)):
            self.check(text, first, last)

    def test_unsatisfiable(self):
        for text in ("bytes=10240-", "bytes=10240-10300", "bytes=-0", "bytes=99999-"):
            answer = self.get(self.file, 416, Range=text)
            self.assertEqual(answer.headers["content-range"], "bytes */10240")

    def test_what_is_no_range_is_ignored(self):
        for text in ("bytes=", "bytes=x-y", "bytes=9-5", "lines=0-9", "bytes", "bytes=--5",
                     "bytes=1-2-3", "bytes=1 - 2x"):
            self.assertEqual(self.get(self.file, 200, Range=text).body, self.VALUE)

    def test_many_ranges_are_answered_whole(self):
        many = "bytes=" + ",".join("%d-%d" % (i * 10, i * 10 + 1) for i in range(17))
        for text in (many, "bytes=0-100,50-150"):
            self.assertEqual(self.get(self.file, 200, Range=text).body, self.VALUE)

    def test_if_range(self):
        tag = self.get(self.file).headers["etag"]
        headers = {"Range": "bytes=0-4", "If-Range": tag}
        self.expect(fetch("GET", self.at(self.file), None, headers), 206)
        headers["If-Range"] = '"other"'
        self.expect(fetch("GET", self.at(self.file), None, headers), 200)


class ConditionsTest(VolumeTest):
    def test_etag(self):
        path = self.path()
        self.put(path, b"one")
        tag = self.get(path).headers["etag"]
        for match in (tag, "W/" + tag, '"x", %s' % tag, "*"):
            answer = self.get(path, 304, If_None_Match=match)
            self.assertEqual(answer.body, b"")
            self.assertEqual(answer.headers["etag"], tag)
        self.get(path, 200, If_None_Match='"other"')
        self.get(path, 200, If_Match=tag)
        self.get(path, 412, If_Match='"other"')
        self.put(path, b"two", 204)
        self.assertNotEqual(self.get(path).headers["etag"], tag)
        self.get(path, 200, If_None_Match=tag)

    def test_dates(self):
        path = self.path()
        self.put(path, b"one")
        modified = self.get(path).headers["last-modified"]
        when = email.utils.parsedate_to_datetime(modified).timestamp()
        later, earlier = (email.utils.formatdate(when + d, usegmt=True) for d in (100, -100))
        self.get(path, 304, If_Modified_Since=modified)
        self.get(path, 304, If_Modified_Since=later)
        self.get(path, 200, If_Modified_Since=earlier)
        self.get(path, 200, If_Modified_Since="nonsense")
        self.get(path, 412, If_Unmodified_Since=earlier)
        self.get(path, 200, If_Modified_Since=modified, If_None_Match='"other"')


class ListingsTest(VolumeTest):
    NAMES = ["a", "B", "c d", "quote\"d", "back\\slash", "caf\u00e9", "L2hlbGxv", "z" * 255, "a&b<c>",
             "%41", "line\nfeed", "tab\t", ".hidden", "~tilde", "L2E=.17", "1"]

    def setUp(self):
        super().setUp()
        self.folder = self.disk("/sv00/list")
        if not os.path.isdir(self.folder):
            os.makedirs(self.folder)
            for i, name in enumerate(self.NAMES):
                with open(os.path.join(self.folder, name), "w") as f:
                    f.write("x" * i)
                os.utime(os.path.join(self.folder, name), (i * 10 ** 8, i * 10 ** 8))
            for name in ("dir", "An other", "zz"):
                os.mkdir(os.path.join(self.folder, name))

    def test_same_as_nginx(self):
        port = free_port()
        nginx = nginx_server("nginx", self.cluster.dir, self.volume.dir, port)
        self.addCleanup(nginx.kill)
        nginx.start()
        for path in ("/sv00/list/", "/sv00/list/dir/"):
            theirs = self.expect(fetch("GET", nginx.url + path), 200)
            ours = self.get(path)
            self.assertEqual(json.loads(ours.body), json.loads(theirs.body))
            self.assertEqual(ours.headers["content-type"], theirs.headers["content-type"])
        for path in ("/sv00/none/", "/sv00/none"):
            self.expect(fetch("GET", nginx.url + path), 404)
            self.get(path, 404)

    def test_own_directory_is_not_listed(self):
        self.put(self.path(), b"x")
        self.assertTrue(os.path.isdir(self.disk("/.larder")))
        for path in ("/", "/sv00/"):
            names = [e["name"] for e in json.loads(self.get(path).body)]
            self.assertNotIn(".larder", names)
        self.assertIn("sv00", [e["name"] for e in json.loads(self.get("/").body)])

    def test_meta(self):
        self.put(self.path("one"), b"12345")
        self.put(self.path("two"), b"x")
        self.expect(fetch("UNLINK", self.at(self.path("two"))), 204)
        folder = os.path.dirname(self.path()) + "/"
        listed = {e["name"]: e for e in json.loads(self.get(folder + "?meta").body)}
        self.assertEqual(listed["one"]["md5"], md5(b"12345"))
        self.assertEqual(listed["one"]["expected"], 5)
        self.assertEqual(listed["one"]["size"], 5)
        self.assertLess(abs(listed["one"]["created"] / 1000 - time.time()), 600)
        self.assertFalse(listed["one"].get("unlinked"))
        self.assertIs(listed["two"]["unlinked"], True)

    def test_large_directory(self):
        folder = self.disk("/sv00/large")
        os.makedirs(folder)
        for i in range(5000):
            open(os.path.join(folder, "file-%d" % i), "w").close()
        names = [e["name"] for e in json.loads(self.get("/sv00/large/").body)]
        self.assertEqual(names, sorted("file-%d" % i for i in range(5000)))


class TombstonesTest(VolumeTest):
    def tombstones(self):
        page = self.get("/admin/tombstones?place=/sv00")
        return {t["path"]: t["generation"] for t in json.loads(page.body)["tombstones"]}

    def test_tombstones(self):
        name = file_path("/dead").lstrip("/")
        path = "/sv00/" + name
        for generation, value in ((7, b"x"), (12, None)):
            if value:
                self.put(path, value)
            answer = fetch("DELETE", self.at(path), None, {"Larder-Tombstone": str(generation)})
            self.expect(answer, 204)
            self.get(path, 404)
            self.assertEqual(self.tombstones()[name], generation)
        self.volume.kill()
        self.volume.start()
        self.assertEqual(self.tombstones()[name], 12)
        for status in (204, 404):
            answer = fetch("DELETE", self.at(path), None, {"Larder-Tombstone": "drop"})
            self.expect(answer, status)
        self.assertNotIn(name, self.tombstones())

    def test_bad_generations(self):
        for text in ("", "x", "-1", "1x", "99999999999999999999999"):
            answer = fetch("DELETE", self.at("/sv00" + file_path("/bad")), None,
                           {"Larder-Tombstone": text})
            self.expect(answer, 400)


class AdminTest(VolumeTest):
    def test_health(self):
        self.put(self.path(), b"x")
        health = self.cluster.admin("/admin/health", self.volume)
        self.assertEqual(health["server"], "larder-volume")
        self.assertRegex(health["id"], "^[0-9a-f]{32}$")
        self.assertEqual(health["state"], "up")
        self.assertEqual(health["subvolumes"]["sv00"]["state"], "up")
        self.assertGreater(health["subvolumes"]["sv00"]["total"], 0)
        self.assertGreaterEqual(health["total"], health["free"])

    def test_metrics(self):
        text = self.get("/admin/metrics").body.decode()
        for line in text.splitlines():
            self.assertRegex(line, r"^(#.*|[a-z_]+(\{.*\})? [-+0-9.e]+)?$")
        self.assertIn("# TYPE", text)

    def test_identity_stays(self):
        before = self.cluster.admin("/admin/health", self.volume)["id"]
        self.volume.stop()
        self.volume.start()
        self.assertEqual(self.cluster.admin("/admin/health", self.volume)["id"], before)


class RegisterTest(ClusterTest):
    def test_volumes_register_themselves(self):
        c = self.new_cluster(volumes=0, replicas=2, start=False)
        for _ in range(2):  # before there is a master
            volume = c.new_volume(start=False, options=["--master", c.url])
            volume.argv += ["--base", volume.url]
            volume.start()
        c.master.start()
        c.wait_master_ready()
        poll("both are known", 40, lambda: all(
            n in json.dumps(c.admin("/admin/volumes")) for n in c.names()))
        self.expect(c.put("/a", "x"), 201)
        self.assertEqual(self.expect(c.get("/a"), 200).body, b"x")


class HoleTest(ClusterTest):
    """A reader that comes to a volume where the file is missing is sent on, and never in a circle."""

    def setUp(self):
        self.c = c = self.new_cluster(volumes=0, replicas=3, start=False)
        for _ in range(3):
            volume = c.new_volume(start=False)
            volume.argv += ["--master", c.url, "--base", volume.url]
            volume.start()
        c.master = c.new_master()
        c.start_master()

    def disk(self, place, key):
        return self.c.volume_of(place).dir + "/" + place.split("/")[1] + file_path(key)

    def test_reader_finds_another_copy(self):
        c = self.c
        self.expect(c.put("/hole", "the value"), 201)
        places = placement("/hole", c.names())
        for missing in (1, 2):
            os.remove(self.disk(places[missing - 1], "/hole"))
            for place in places:
                answer = self.expect(fetch("GET", "http://" + place + file_path("/hole")), 200)
                self.assertEqual(answer.body, b"the value")
                self.assertLessEqual(len(answer.hops), 2 * missing)
            self.assertEqual(self.expect(c.get("/hole"), 200).body, b"the value")
        # The janitor fills holes meanwhile, so all copies are removed until none comes back.
        def all_are_gone():
            for place in places:
                if os.path.exists(self.disk(place, "/hole")):
                    os.remove(self.disk(place, "/hole"))
            answer = c.get("/hole")  # one more may find a copy that was on its way
            return answer if answer.status == 503 else None
        self.assertLessEqual(len(poll("every copy is gone", 30, all_are_gone).hops), 7)

    def test_damaged_copy_is_passed_over(self):
        c = self.c
        self.expect(c.put("/cut", "x" * 1000), 201)
        for place in placement("/cut", c.names())[:2]:
            os.truncate(self.disk(place, "/cut"), 10)
        for place in placement("/cut", c.names()):
            answer = self.expect(fetch("GET", "http://" + place + file_path("/cut")), 200)
            self.assertEqual(answer.body, b"x" * 1000)

    def test_key_with_any_bytes_is_redirected_safely(self):
        c, key = self.c, b"/a\r\nX-Evil: 1\r\n/\xff?#%20"
        self.expect(c.put(key, "v"), 201)
        os.remove(self.disk(placement(key, c.names())[0], key))
        path = quote(file_path(key))
        server = c.volume_of(placement(key, c.names())[0])
        place = placement(key, c.names())[0].split("/")[1]
        answer = raw(server.port, b"GET /%s%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (
            place.encode(), path.encode(), server.address.encode()))
        self.expect(answer, 302)
        self.assertNotIn("x-evil", answer.headers)
        self.assertEqual(self.expect(fetch("GET", answer.headers["location"]), 200).body, b"v")

    def test_stray_names_are_not_found(self):
        self.expect(fetch("GET", self.c.volumes[0].url + "/sv00/no/such/name"), 404)


if __name__ == "__main__":
    unittest.main()
