"""The command-line tool: everyday commands, rebuild, rebalance, verify."""
import json
import os
import signal
import subprocess
import threading
import unittest

from harness import (BIN, SLOW, Client, ClusterTest, fetch, file_path, md5, mkv_path, placement, poll)

MIB = 1024 * 1024


class ToolTest(ClusterTest):
    def run_tool(self, c, status, *args, **options):
        done = c.larder(*args, **options)
        if done.returncode != status:
            raise AssertionError("larder %s: exit status %d, not %d\n%s%s" % (
                " ".join(args), done.returncode, status, done.stdout.decode(),
                done.stderr.decode()))
        return done

    def verify(self, c, status=0):
        c.wait_idle()
        return json.loads(self.run_tool(c, status, "verify", "--deep", "--json").stdout)

    def records(self, c):
        """{key: (state, generation, naming, md5, volumes)} of all keys, and the tombstones."""
        found, start = {}, ""
        while True:
            page = c.admin("/admin/keys?limit=50&start=" + start)
            for r in page["records"]:
                found[r["key"]] = (r["state"], r.get("generation"), r.get("naming"),
                                   r.get("md5"), sorted(r["volumes"]), r.get("tombstone"))
            start = page["next"]
            if not start:
                return found

    def path_at(self, c, place, key, generation=0):
        parts = place.split("/")[1:]
        return "/".join([c.volume_of(place).dir, *parts]) + file_path(key, generation)


class CommandsTest(ToolTest):
    OPTIONS = {"volumes": 3}

    def test_values(self):
        c, key = self.cluster, self.key("/a b\u00e9")
        value = os.urandom(3 * MIB)
        source, target = c.path("source"), c.path("target")
        with open(source, "wb") as f:
            f.write(value)
        self.run_tool(c, 0, "put", "--raw", key, source)
        self.assertTrue(self.expect(c.get(key), 200).body == value)
        self.run_tool(c, 0, "get", "--raw", key, target)
        with open(target, "rb") as f:
            self.assertTrue(f.read() == value)
        self.assertTrue(self.run_tool(c, 0, "get", "--raw", key).stdout == value)
        self.run_tool(c, 1, "put", "--raw", key, source)  # it exists
        self.run_tool(c, 0, "put", key + "2", "-", data=b"from standard input")
        self.assertEqual(self.run_tool(c, 0, "get", key + "2").stdout, b"from standard input")
        self.run_tool(c, 0, "rm", "--raw", key)
        self.run_tool(c, 1, "rm", "--raw", key)
        self.run_tool(c, 1, "get", "--raw", key, target)
        with open(target, "rb") as f:
            self.assertTrue(f.read() == value)  # as it was

    def test_lists_and_states(self):
        c = self.cluster
        keys = ["/tool/%d" % i for i in range(5)]
        for key in keys:
            self.run_tool(c, 0, "put", key, data=key.encode())
        self.run_tool(c, 0, "unlink", keys[0])
        self.assertEqual(self.run_tool(c, 0, "ls", "/tool/").stdout.decode().split(), keys[1:])
        self.assertEqual(self.run_tool(c, 0, "ls", "-u", "/tool/").stdout.decode().split(),
                         keys[:1])
        listed = json.loads(self.run_tool(c, 0, "ls", "--json", "tool/").stdout)["keys"]
        self.assertEqual([k["md5"] for k in listed], [md5(k.encode()) for k in keys[1:]])
        text = self.run_tool(c, 0, "stat", keys[1]).stdout.decode()
        for place in placement(keys[1], c.names()):
            self.assertIn(place, text)
        self.run_tool(c, 1, "stat", "/tool/none")
        self.assertIn(c.names()[0], self.run_tool(c, 0, "status").stdout.decode())
        json.loads(self.run_tool(c, 0, "status", "--json").stdout)

    def test_add_volume(self):
        c = self.new_cluster(volumes=1)
        added = c.new_volume()
        self.run_tool(c, 0, "add-volume", added.url)
        self.run_tool(c, 0, "add-volume", added.url)
        self.assertIn(added.address, json.dumps(c.admin("/admin/volumes")))
        self.run_tool(c, 2, "add-volume", "nonsense")

    def test_wrong_usage(self):
        c = self.cluster
        for args in ((), ("nonsense",), ("put",), ("rebuild",), ("ls", "--nonsense")):
            done = self.run_tool(c, 2, *args)
            self.assertGreater(len(done.stderr), 10)
        for args in (("--help",), ("--version",), ("help", "verify"), ("verify", "--help")):
            self.run_tool(c, 0, *args)
        self.run_tool(c, 1, "-m", "http://127.0.0.1:1", "get", "/x", master=False)


class RebuildTest(ToolTest):
    def fill(self, c):
        """Keys of every kind; returns {key: value} of those that readers see."""
        values = {}
        keys = [b"/rebuild/%d" % i for i in range(30)] + [
            b"/" + b"long" * 60, b"/" + b"?" * 800, b"/k?k?k?", b"/\xff\xff\xff", b"/a//b/../c"]
        for key in keys:
            values[key] = b"value of " + key
            self.expect(c.put(key, values[key]), 201)
        for key in keys[:5]:
            values[key] = b"a newer value of " + key
            self.expect(c.put(key, values[key]), 201)
        for key in keys[5:8]:
            self.expect(c.request("UNLINK", key), 204)
            del values[key]
        for key in keys[8:10]:
            self.expect(c.delete(key), 204)
            del values[key]
        return values

    def rebuild(self, c, *args, status=0):
        return self.run_tool(c, status, "rebuild", "--db", c.path("index"), "--volumes",
                             ",".join(c.names()), *args)

    def check_values(self, c, values):
        c.client.close()
        for key, value in values.items():
            self.assertEqual(self.expect(c.get(key), 200).body, value)
        listed = [k.encode("utf-8", "surrogateescape") for k in c.list("/")["keys"]]
        self.assertEqual(listed, sorted(values))

    def test_everything_is_found_again(self):
        c = self.new_cluster(volumes=4, replicas=3, master_options=["--overwrite", "--grace", "0s"])
        values = self.fill(c)
        c.wait_idle()
        before = self.records(c)
        self.rebuild(c, status=1)  # the index is in use
        self.check_values(c, values)
        c.master.stop()
        self.rebuild(c)
        self.assertTrue(any(n.startswith("index.old-") for n in os.listdir(c.dir)))
        c.start_master()
        self.check_values(c, values)
        self.assertEqual(self.records(c), before)
        self.assertEqual(len(c.list("/", "unlinked")["keys"]), 3)
        self.assertTrue(self.verify(c)["ok"])

    def test_index_that_is_lost(self):
        c = self.new_cluster(volumes=3, master_options=["--overwrite", "--grace", "0s"])
        values = self.fill(c)
        c.wait_idle()
        c.master.stop()
        subprocess.run(["rm", "-rf", c.path("index")], check=True)
        self.rebuild(c)
        c.start_master()
        self.check_values(c, values)
        # a generation that was given before is not given again
        self.expect(c.put(b"/rebuild/8", "back"), 201)
        self.assertEqual(self.expect(c.get(b"/rebuild/8"), 200).body, b"back")

    def test_deleted_key_does_not_come_back(self):
        c = self.new_cluster(volumes=3)
        keys = ["/dead/%d" % i for i in range(10)]
        for key in keys:
            self.expect(c.put(key, "x"), 201)
        c.volumes[0].kill()
        poll("the master knows", 20 * SLOW,
             lambda: fetch("GET", c.url + "/admin/volumes").body.count(b'"down"') == 1)
        for key in keys:
            self.expect(c.delete(key), 204)
        c.master.stop()
        c.volumes[0].start()
        self.assertEqual(len(c.files(c.volumes[0])), 10)
        self.rebuild(c)
        c.start_master()
        c.client.close()
        for key in keys:
            self.expect(c.get(key), 404)
        self.assertEqual(c.list("/")["keys"], [])
        poll("its files are gone", 60 * SLOW, lambda: not c.files(c.volumes[0]))
        self.assertTrue(self.verify(c)["ok"])

    def test_volume_out_of_reach(self):
        c = self.new_cluster(volumes=3)
        for i in range(10):
            self.expect(c.put("/reach/%d" % i, "value %d" % i), 201)
        before = self.records(c)
        c.master.stop()
        c.volumes[2].kill()
        text = self.rebuild(c, status=1).stderr.decode()
        self.assertIn(c.names()[2], text)
        self.assertFalse(any(n.startswith("index.old-") for n in os.listdir(c.dir)))
        self.rebuild(c, "--without", c.names()[2])
        c.start_master()
        c.client.close()
        for i in range(10):
            self.assertEqual(self.expect(c.get("/reach/%d" % i), 200).body, b"value %d" % i)
        c.volumes[2].start()
        poll("the copies are known again", 60 * SLOW, lambda: self.records(c) == before)

    def test_files_of_minikeyvalue_and_by_hand(self):
        c = self.new_cluster(volumes=3, start=False)
        values = {b"/mkv/%d" % i: b"value %d" % i for i in range(10)}
        values.update({k: b"nested " + k for k in (b"/k?k?k?", b"/\xff\xff\xff")})
        for key, value in values.items():
            for place in placement(key, c.names()):
                path = (c.volume_of(place).dir + "/" + place.split("/")[1]
                        + mkv_path(key).replace("//", "/").replace("//", "/"))
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as f:
                    f.write(value)
        with open(c.volumes[0].dir + "/sv00-notes.txt", "w") as f:
            f.write("not a value")
        for server in c.volumes:
            server.start()
        self.rebuild(c)
        c.start_master()
        self.check_values(c, values)


class RebuildNginxTest(RebuildTest):
    """The same over nginx: no MD5s, states or tombstones, but every value."""

    test_everything_is_found_again = None
    test_deleted_key_does_not_come_back = None
    test_files_of_minikeyvalue_and_by_hand = None
    test_volume_out_of_reach = None

    def test_index_that_is_lost(self):
        c = self.new_cluster(volumes=3, nginx=True,
                             master_options=["--overwrite", "--grace", "0s"])
        values = self.fill(c)
        unlinked = {b"/rebuild/%d" % i: b"value of /rebuild/%d" % i for i in range(5, 8)}
        c.wait_idle()
        c.master.stop()
        subprocess.run(["rm", "-rf", c.path("index")], check=True)
        self.rebuild(c)
        c.start_master()
        self.check_values(c, {**values, **unlinked})


class RebalanceTest(ToolTest):
    def test_clients_go_on(self):
        c = self.new_cluster(volumes=3, replicas=2)
        values = {"/move/%d" % i: os.urandom(20000) for i in range(60)}
        for key, value in values.items():
            self.expect(c.put(key, value), 201)
        self.expect(c.request("UNLINK", "/move/0"), 204)
        hidden = values.pop("/move/0")
        added = c.new_volume()
        self.run_tool(c, 0, "add-volume", added.url)
        poll("it can be used", 20 * SLOW, lambda: c.put(self.key(), "x").status == 201)
        unbalanced = [k for k in values if c.request(
            "GET", k, follow=False).headers["key-balance"] == "unbalanced"]
        self.assertGreater(len(unbalanced), 10)
        told = self.run_tool(c, 0, "rebalance", "-n").stdout.decode().split()
        self.assertLessEqual(set(unbalanced), set(told))

        # slow enough to be interrupted, then once more and to the end, with readers beside it
        before = len(c.files(added))
        slow = subprocess.Popen([BIN + "/larder", "rebalance", "-m", c.url, "--rate", "100k",
                                 "--jobs", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        poll("something was moved", 30 * SLOW, lambda: len(c.files(added)) > before)
        slow.send_signal(signal.SIGINT)
        slow.communicate(timeout=60)
        self.assertNotEqual(slow.returncode, 0)
        failures, stop = [], threading.Event()

        def read():
            client = Client()
            while not stop.is_set():
                for key, value in values.items():
                    answer = client.request("GET", c.key_url(key))
                    if answer.status != 200 or answer.body != value:
                        failures.append((key, answer.status))
            client.close()
        reader = threading.Thread(target=read)
        reader.start()
        try:
            self.run_tool(c, 0, "rebalance")
        finally:
            stop.set()
            reader.join()
        self.assertEqual(failures, [])
        c.wait_idle()
        for key, value in list(values.items()) + [("/move/0", hidden)]:
            wanted = placement(key, c.names())[:2]
            self.assertEqual(c.record(key)["volumes"], wanted)
            self.assertEqual(sorted(c.places_with(key)), sorted(wanted))
            self.assertEqual(c.record(key)["md5"], md5(value))
        self.assertEqual(c.list("/move/0", "unlinked")["keys"], ["/move/0"])
        self.assertTrue(self.verify(c)["ok"])
        self.run_tool(c, 0, "rebalance")  # nothing left to do

    def test_one_key(self):
        c = self.new_cluster(volumes=1, replicas=1)
        added = c.new_volume()
        self.run_tool(c, 0, "add-volume", added.address)
        poll("it can be used", 20 * SLOW,
             lambda: fetch("GET", c.url + "/admin/volumes").body.count(b'"up"') >= 2)
        key = next("/one/%d" % i for i in range(1000)
                   if placement("/one/%d" % i, c.names())[0].startswith(added.address))
        # stands on the first volume, as before the second was there
        added.kill()
        poll("the master knows", 20 * SLOW,
             lambda: b'"down"' in fetch("GET", c.url + "/admin/volumes").body)
        self.expect(c.put(key, "x" * 1000), 201)
        added.start()
        poll("it is up again", 20 * SLOW,
             lambda: b'"down"' not in fetch("GET", c.url + "/admin/volumes").body)
        self.assertEqual(c.request("GET", key, follow=False).headers["key-balance"], "unbalanced")
        answer = self.expect(c.request("REBALANCE", key), 204)
        self.assertEqual(answer.headers["larder-moved"], "1000")
        self.assertEqual(c.request("GET", key, follow=False).headers["key-balance"], "balanced")
        poll("the old copy is gone", 30 * SLOW,
             lambda: c.places_with(key) == placement(key, c.names())[:1])


class VerifyTest(ToolTest):
    def test_planted_damage_is_found(self):
        c = self.new_cluster(volumes=4, replicas=3)
        for name in ("good", "missing", "cut", "changed"):
            self.expect(c.put("/verify/" + name, "x" * 1000), 201)
        self.assertTrue(self.verify(c)["ok"])

        places = {n: placement("/verify/" + n, c.names()) for n in ("missing", "cut", "changed")}
        os.remove(self.path_at(c, places["missing"][0], "/verify/missing"))
        os.truncate(self.path_at(c, places["cut"][1], "/verify/cut"), 500)
        with open(self.path_at(c, places["changed"][2], "/verify/changed"), "r+b") as f:
            f.write(b"y")
        extra = self.path_at(c, places["missing"][1], "/verify/extra")
        os.makedirs(os.path.dirname(extra), exist_ok=True)
        with open(extra, "w") as f:
            f.write("nobody knows me")

        text = self.run_tool(c, 1, "verify").stdout.decode()  # sizes and attributes only
        self.assertIn("/verify/missing", text)
        self.assertNotIn("/verify/changed", text)

        report = self.verify(c, 1)
        found = {(f["problem"], f["key"], f["volume"]) for f in report["findings"]}
        self.assertFalse(report["ok"])
        self.assertIn(("missing", "/verify/missing", places["missing"][0]), found)
        self.assertIn(("extra", "/verify/extra", places["missing"][1]), found)
        # The volume that is asked for it notices, too, and lays it aside.
        self.assertTrue({(p, "/verify/changed", places["changed"][2]) for p in ("md5", "missing")}
                        & found, found)
        self.assertTrue({(p, "/verify/cut", places["cut"][1]) for p in ("size", "missing", "md5")}
                        & found, found)
        self.assertNotIn("/verify/good", {key for _, key, _ in found})

    def test_volume_that_is_down(self):
        c = self.new_cluster(volumes=2)
        self.expect(c.put("/a", "x"), 201)
        c.volumes[0].kill()
        self.run_tool(c, 2, "verify")
        self.run_tool(c, 0, "verify", "--without", c.names()[0])


if __name__ == "__main__":
    unittest.main()
