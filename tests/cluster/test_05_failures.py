"""Volumes that are down, stopped, full or not what they were; a second process; restarts."""
import contextlib
import os
import shutil
import subprocess
import unittest

from harness import (BIN, SLOW, ClusterTest, Raw, Server, fetch, file_path, free_port, md5, placement,
                     poll, quote)

KIB, MIB = 1024, 1024 * 1024


def volume_states(c):
    """{name: state} as the master sees it."""
    page = c.admin("/admin/volumes")
    rows = page["volumes"] if isinstance(page, dict) else page
    return {row["name"]: row["state"] for row in rows}


def wait_state(c, volume, *states):
    poll("%s is %s" % (volume.name, " or ".join(states)), 20 * SLOW,
         lambda: volume_states(c).get(volume.address) in states)


def begin_put(port, key, length):
    """A PUT whose key is locked and whose body is waited for."""
    connection = Raw(port, 60)
    connection.send(b"PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
                    b"Expect: 100-continue\r\n\r\n" % (quote(key).encode(), length))
    assert connection.answer().status == 100
    return connection


class DownTest(ClusterTest):
    def test_reads_go_to_what_is_left(self):
        c = self.new_cluster(volumes=3)
        keys = ["/down/%d" % i for i in range(15)]
        for key in keys:
            self.expect(c.put(key, "value of " + key), 201)
        for i, volume in enumerate(c.volumes):
            volume.kill()
            wait_state(c, volume, "down")
            for key in keys:
                for method in ("GET", "HEAD"):
                    answer = c.request(method, key)
                    if i < 2:
                        self.expect(answer, 200)
                    else:
                        self.expect(answer, 503)
                        self.assertGreater(int(answer.headers["retry-after"]), 0)
        self.expect(c.get("/down/none"), 404)
        self.assertEqual(c.list("/down/")["keys"], sorted(keys))
        c.volumes[1].start()
        wait_state(c, c.volumes[1], "up")
        for key in keys:
            self.assertEqual(self.expect(c.get(key), 200).body, ("value of " + key).encode())

    def test_writes_need_enough_volumes(self):
        c = self.new_cluster(volumes=3)  # a majority of three: two
        c.volumes[0].kill()
        wait_state(c, c.volumes[0], "down")
        self.expect(c.put("/two", "x"), 201)
        c.volumes[1].kill()
        wait_state(c, c.volumes[1], "down")
        answer = self.expect(c.put("/one", "x"), 503)
        self.assertIn("retry-after", answer.headers)
        self.expect(fetch("GET", c.url + "/admin/ready"), 503)
        self.expect(c.get("/one"), 404)
        self.expect(c.get("/two"), 200)
        for volume in c.volumes[:2]:
            volume.start()
            wait_state(c, volume, "up")
        self.expect(c.put("/one", "x"), 201)
        self.assertEqual(len(c.places_with("/one")), 3)
        poll("the missing copy was made", 60 * SLOW, lambda: len(c.places_with("/two")) == 3)
        c.wait_idle()
        self.assertEqual(c.larder("verify", "--deep").returncode, 0)

    def test_writes_pass_over_what_is_down(self):
        c = self.new_cluster(volumes=5, replicas=3)
        c.volumes[2].kill()
        wait_state(c, c.volumes[2], "down")
        up = [n for n in c.names() if n != c.volumes[2].address]
        for i in range(10):
            key = "/over/%d" % i
            self.expect(c.put(key, "x"), 201)
            self.assertEqual(sorted(c.places_with(key)), sorted(placement(key, up)[:3]))

    def test_deleted_while_a_volume_is_away(self):
        c = self.new_cluster(volumes=3)
        for i in range(10):
            self.expect(c.put("/gone/%d" % i, "x"), 201)
        c.volumes[0].kill()
        wait_state(c, c.volumes[0], "down")
        for i in range(10):
            self.expect(c.delete("/gone/%d" % i), 204)
            self.expect(c.get("/gone/%d" % i), 404)
        c.volumes[0].start()
        poll("its files are gone", 60 * SLOW, lambda: not c.files(c.volumes[0]))
        c.wait_idle()
        self.assertEqual(c.list("/gone/")["keys"], [])


class MidStreamTest(ClusterTest):
    """A volume that dies while a value streams to it."""

    def stream(self, c, key, victim, value):
        """PUTs the value; the victim is killed when half of it has been sent."""
        with begin_put(c.port, key, len(value)) as connection:
            connection.send(value[:len(value) // 2])
            temp = [os.path.join(p, ".larder/tmp") for p in
                    (os.path.join(victim.dir, d) for d in os.listdir(victim.dir)) if
                    os.path.isdir(os.path.join(p, ".larder/tmp"))]
            poll("the value arrives at the volume", 20 * SLOW,
                 lambda: any(os.listdir(t) for t in temp) or self.has_temp(victim))
            victim.kill()
            return connection.send(value[len(value) // 2:]).answer()

    def has_temp(self, volume):
        return any(name for folder, _, names in os.walk(volume.dir) for name in names
                   if folder.endswith(".larder/tmp"))

    def test_value_is_accepted_and_completed(self):
        for volumes in (3, 4):
            c = self.new_cluster(volumes=volumes, replicas=3)
            key, value = "/stream", os.urandom(8 * MIB)
            victim = c.volume_of(placement(key, c.names())[1])
            self.expect(self.stream(c, key, victim, value), 201)
            self.assertTrue(self.expect(c.get(key), 200).body == value)
            victim.start()
            poll("there are three copies", 60 * SLOW,
                 lambda: len(c.places_with(key)) == 3 and not c.work_left())
            record = c.record(key)
            self.assertEqual(sorted(record["volumes"]), sorted(c.places_with(key)))
            self.assertEqual(c.larder("verify", "--deep").returncode, 0)

    def test_below_the_minimum_nothing_is_visible(self):
        c = self.new_cluster(volumes=3, master_options=["--min-replicas", "3"])
        victim = c.volume_of(placement("/few", c.names())[0])
        self.expect(self.stream(c, "/few", victim, os.urandom(4 * MIB)), 503)
        self.expect(c.get("/few"), 404)
        self.assertEqual(c.list("/")["keys"], [])
        victim.start()
        c.wait_idle()
        self.assertEqual(c.places_with("/few"), [])
        wait_state(c, victim, "up")
        self.expect(c.put("/few", "now"), 201)


@unittest.skipUnless(os.getuid() == 0, "needs root to mount")
class FullTest(ClusterTest):
    @contextlib.contextmanager
    def tmpfs(self, path, size):
        os.makedirs(path)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + size, "larder-test", path],
                              stderr=subprocess.PIPE)
        if done.returncode:
            self.skipTest("no mount here: %s" % done.stderr.decode())
        try:
            yield path
        finally:
            subprocess.run(["umount", "-l", path], check=True)

    def test_full_disks(self):
        base = "/tmp/larder-full.%d" % os.getpid()
        self.addCleanup(shutil.rmtree, base, True)
        with contextlib.ExitStack() as mounts:
            folders = [mounts.enter_context(self.tmpfs("%s/%d" % (base, i), "8m"))
                       for i in range(2)]
            c = self.new_cluster(volumes=0, replicas=2, start=False)
            for folder in folders:
                c.new_volume(directory=folder, options=["--reserve", "1M"])
            c.master = c.new_master()
            c.start_master()
            self.expect(c.put("/small", "x"), 201)
            with begin_put(c.port, "/large", 20 * MIB) as connection:
                answer = connection.send(b"x" * (20 * MIB)).answer()
            self.expect(answer, 507)
            self.expect(c.get("/large"), 404)
            c.wait_idle()
            self.assertEqual(sum(map(len, c.all_files().values())), 2)
            self.expect(c.get("/small"), 200)
            for i in range(30):  # until nothing goes any more
                status = self.expect(c.put("/fill/%d" % i, b"x" * (500 * KIB)), 201, 507).status
                if status == 507:
                    break
            self.assertEqual(status, 507)
            for j in range(i):
                self.assertEqual(len(self.expect(c.get("/fill/%d" % j), 200).body), 500 * KIB)
                self.expect(c.delete("/fill/%d" % j), 204)
            poll("there is room again", 30 * SLOW,
                 lambda: c.put("/again", b"x" * (500 * KIB)).status == 201)
            c.close()


class DirectoryTest(ClusterTest):
    def refused(self, c, argv):
        """The program ends soon, with an error that says why."""
        server = Server("second", argv, 0, "/", c.path("second.log"))
        server.start(wait=False)
        self.addCleanup(server.kill)
        code = server.process.wait(20 * SLOW)
        server.process = None
        self.assertNotEqual(code, 0)
        self.assertGreater(len(server.log_text()), 20)
        return server.log_text()

    def test_second_process_is_refused(self):
        c = self.new_cluster(volumes=1)
        self.expect(c.put("/a", "x"), 201)
        port = str(free_port())
        self.refused(c, [BIN + "/larder-volume", "--port", port, "--dir", c.volumes[0].dir])
        self.refused(c, [BIN + "/larder-master", "--port", port, "--db", c.path("index"),
                         "--volumes", c.names()[0]])
        # and the first ones were not disturbed
        self.expect(c.get("/a"), 200)
        self.expect(c.put("/b", "x"), 201)

    def test_used_port_is_refused(self):
        c = self.new_cluster(volumes=1)
        text = self.refused(c, [BIN + "/larder-volume", "--port", str(c.volumes[0].port), "--dir",
                                c.path("other")])
        self.assertIn(str(c.volumes[0].port), text)

    def test_wrong_options_are_refused(self):
        c = self.new_cluster(volumes=1)
        for argv in (["larder-volume"], ["larder-master"], ["larder-volume", "--port", "x"],
                     ["larder-master", "--db", c.path("x"), "--nonsense"],
                     ["larder-master", "--db", c.path("x"), "--volumes", "nonsense"],
                     ["larder-volume", "--dir", c.path("index", "CURRENT")]):
            self.refused(c, [BIN + "/" + argv[0], *argv[1:]])

    def test_missing_disk_is_not_an_empty_one(self):
        c = self.new_cluster(volumes=2, replicas=2)
        keys = ["/disk/%d" % i for i in range(40)]
        for key in keys:
            self.expect(c.put(key, "x"), 201)
        volume = c.volumes[0]
        name = next(n for n in os.listdir(volume.dir) if n.startswith("sv"))
        shutil.move(os.path.join(volume.dir, name), c.path("unmounted"))
        os.mkdir(os.path.join(volume.dir, name))  # an empty mount point
        volume.stop()
        volume.start()
        health = c.admin("/admin/health", volume)
        self.assertEqual(health["subvolumes"][name]["state"], "missing")
        path = "/%s%s" % (name, file_path("/x"))
        self.expect(fetch("PUT", volume.url + path, b"x"), 503)
        self.expect(fetch("DELETE", volume.url + path), 503)
        self.assertEqual(os.listdir(os.path.join(volume.dir, name)), [])
        poll("the master knows", 20 * SLOW, lambda: all(c.get(k).status == 200 for k in keys))
        os.rmdir(os.path.join(volume.dir, name))
        shutil.move(c.path("unmounted"), os.path.join(volume.dir, name))
        poll("the disk is back", 40 * SLOW, lambda: c.admin(
            "/admin/health", volume)["subvolumes"][name]["state"] == "up")

    def test_other_volume_at_the_address_is_noticed(self):
        c = self.new_cluster(volumes=2, replicas=2)
        self.expect(c.put("/mine", "x"), 201)
        c.volumes[0].stop()
        shutil.move(c.volumes[0].dir, c.path("away"))
        c.volumes[0].start()  # an empty directory, a new identity
        poll("it is not taken for the old one", 20 * SLOW,
             lambda: volume_states(c)[c.volumes[0].address] != "up")
        self.assertEqual(self.expect(c.get("/mine"), 200).body, b"x")
        c.volumes[0].stop()
        shutil.rmtree(c.volumes[0].dir)
        shutil.move(c.path("away"), c.volumes[0].dir)
        c.volumes[0].start()
        wait_state(c, c.volumes[0], "up")


class RestartTest(ClusterTest):
    def test_added_volumes_are_kept(self):
        c = self.new_cluster(volumes=1, replicas=1)
        added = c.new_volume()
        self.expect(fetch("POST", c.url + "/admin/add-volume", added.url.encode()), 200)
        wait_state(c, added, "up")
        c.master.stop()
        c.master = c.new_master(volumes=[])
        c.start_master()
        c.client.close()
        self.assertEqual(sorted(volume_states(c)), sorted(c.names()))

    def test_graceful_stop_finishes_what_is_under_way(self):
        c = self.new_cluster(volumes=1)
        value = os.urandom(MIB)
        with begin_put(c.port, "/late", len(value)) as connection:
            connection.send(value[:1000])
            c.master.process.terminate()
            poll("no new connections", 20 * SLOW, lambda: not self.listens(c.port))
            self.expect(connection.send(value[1000:]).answer(), 201)
        self.assertEqual(c.master.process.wait(20 * SLOW), 0)
        c.master.process = None
        c.start_master()
        c.client.close()
        answer = self.expect(c.get("/late"), 200)
        self.assertEqual(md5(answer.body), md5(value))
        self.assertEqual(c.record("/late")["state"], "live")

    def listens(self, port):
        try:
            Raw(port).close()
            return True
        except OSError:
            return False


if __name__ == "__main__":
    unittest.main()
