"""Several masters: reads and writes through any of them, writers that die, hang and wake."""
import os
import time
import unittest

from harness import SLOW, Raw, fetch, poll
from masters import Load, MastersTest

ROUNDS = int(os.environ.get("CLUSTER_ROUNDS", "10"))
TTL = 3  # --session-ttl


class BasicTest(MastersTest):
    def test_any_master(self):
        c = self.new_masters()
        writer, others = c.writer(), c.followers()
        for i, master in enumerate(c.masters):
            answer = self.expect(c.put_at(master, "/any/%d" % i, "value %d" % i), 201)
            sequence = answer.headers["larder-sequence"]
            for reader in c.masters:
                self.assertEqual(c.get_at(reader, "/any/%d" % i).body, b"value %d" % i)
                found = c.get_at(reader, "/any/%d" % i, "stale", {"Larder-Sequence": sequence},
                                 follow=False)
                self.expect(found, 302)
                self.assertGreaterEqual(int(found.headers["larder-sequence"]), int(sequence))
        self.assertEqual(c.get_at(others[0], "/", "list", follow=False).status, 200)
        late = c.get_at(others[0], "/any/0", "stale", {"Larder-Sequence": str(10**9)}, follow=False)
        self.expect(late, 503)
        self.expect(c.get_at(others[0], "/any/0", "", {"Larder-Sequence": "x"}), 400)
        for method, key in (("DELETE", "/any/0"), ("UNLINK", "/any/1"), ("REBALANCE", "/any/2")):
            answer = fetch(method, c.url_at(others[0], key, "a=b"), follow=False)
            self.expect(answer, 307)
            self.assertEqual(answer.headers["location"], c.url_at(writer, key, "a=b"))
            self.expect(fetch(method, c.url_at(others[1], key)), 204)
        for reader in c.masters:
            self.expect(c.get_at(reader, "/any/0"), 404)
            self.expect(c.get_at(reader, "/any/1"), 404)
        self.wait_same(c)

    def test_body_is_sent_once(self):
        """A client that waits for 100 Continue is redirected before it sends anything."""
        c = self.new_masters()
        other = c.followers()[0]
        with Raw(other.port) as connection:
            connection.send(b"PUT /once HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                            b"Expect: 100-continue\r\n\r\n")
            self.expect(connection.answer("PUT"), 307)
        done = c.larder("put", "/piped", "-", data=b"from a pipe", master=False)
        self.assertNotEqual(done.returncode, 0)  # nobody at port 3000
        for number, master in enumerate(c.masters):
            done = c.larder("put", "-m", master.url, "/piped/%d" % number, "-", data=b"from a pipe")
            self.assertEqual(done.returncode, 0, done.stderr)
            done = c.larder("rm", "-m", other.url, "/piped/%d" % number)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_volumes_are_known_to_all(self):
        c = self.new_masters(volumes=4)
        values = {"/v/%d" % i: (b"%d" % i, 0) for i in range(20)}
        for key, (value, _) in values.items():
            self.expect(c.put_at(c.masters[0], key, value), 201)

        def states(master):
            return {v["name"]: v["state"] for v in c.admin("/admin/volumes", master)["volumes"]}
        gone = c.volumes[0]
        for master in c.masters:
            poll("%s has checked" % master.name, 10 * SLOW,
                 lambda m=master: set(states(m).values()) == {"up"})
        done = c.larder("drain", "--wait", "-m", c.followers()[0].url, gone.address)
        self.assertEqual(done.returncode, 0, done.stderr)
        for master in c.masters:
            self.assertEqual(states(master)[gone.address], "draining", master.name)
        done = c.larder("remove-volume", "-m", c.followers()[1].url, gone.address)
        self.assertEqual(done.returncode, 0, done.stderr)
        for master in c.masters:
            poll("%s has no such volume" % master.name, 10 * SLOW,
                 lambda m=master: gone.address not in states(m))
        self.check_all(c, values)

    def test_lists_of_masters(self):
        """A volume and the tool go to the next master where one does not answer."""
        c = self.new_masters()
        gone = c.followers()[0]
        gone.kill()
        c.wait_master_ready()
        masters = ",".join(m.address for m in [gone] + [m for m in c.masters if m is not gone])
        volume = c.new_volume(options=["--master", masters])
        for master in c.masters:
            if master is not gone:
                poll("%s knows the volume" % master.name, 20 * SLOW, lambda m=master: any(
                    v["name"] == volume.address and v["state"] == "up"
                    for v in c.admin("/admin/volumes", m)["volumes"]), every=0.2)
        for command, data in ((["put", "/tool", "-"], b"by a tool"), (["get", "/tool"], None)):
            done = c.larder(command[0], "-m", masters, *command[1:], data=data, master=False)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, b"by a tool")

    def test_damage_reaches_the_writer(self):
        """A reader at a hole, sent back to any master, makes the writer repair it."""
        c = self.new_masters()
        self.expect(c.put_at(c.masters[0], "/hole", "value"), 201)
        hole = c.volumes[0]
        (path,) = c.files(hole)
        os.unlink(os.path.join(hole.dir, path))
        other = c.followers()[0]
        self.expect(c.get_at(other, "/hole", "avoid=" + hole.address), 200)
        poll("the copy is back", 30 * SLOW, lambda: c.files(hole) == [path])


class WriterTest(MastersTest):
    def back(self, c, began, key):
        """Seconds until a write is taken by another master."""
        others = [m for m in c.masters if m.running() and not getattr(m, "frozen", False)]
        c.put_soon(others[0], key, "back", seconds=30)
        return time.monotonic() - began

    def test_writer_killed(self):
        c = self.new_masters(etcds=3)
        taken, slowest = {}, 0
        for n in range(max(2, ROUNDS // 3)):
            writer = c.writer()
            through = c.followers()[0]
            with Load(c, through, "/killed/%d" % n) as load:
                poll("some are taken", 20 * SLOW, lambda: len(load.taken) > 20)
                began = time.monotonic()
                writer.kill()
                slowest = max(slowest, self.back(c, began, "/back/%d" % n))
            taken.update(load.taken)
            writer.start()
            c.wait_master_ready()
        self.assertLess(slowest, (TTL + 2) * SLOW)
        self.check_all(c, taken)
        self.wait_same(c)

    def test_writer_frozen(self):
        c = self.new_masters()
        taken, slowest = {}, 0
        for n in range(max(2, ROUNDS // 5)):
            writer = c.writer()
            through = c.followers()[0]
            with Load(c, through, "/frozen/%d" % n) as load:
                poll("some are taken", 20 * SLOW, lambda: len(load.taken) > 20)
                writer.frozen = True
                began = time.monotonic()
                writer.pause()
                slowest = max(slowest, self.back(c, began, "/thawed/%d" % n))
                writer.resume()
                writer.frozen = False
                answer = c.put_at(writer, "/woken/%d" % n, "by the old one", follow=False)
                if c.state(writer)["role"] != "writer":
                    self.expect(answer, 307, 503)
            taken.update(load.taken)
            c.wait_master_ready()
        # Its clients wait for a frozen one until they lose patience: 3 s here.
        self.assertLess(slowest, (TTL + 2 + 3) * SLOW)
        self.check_all(c, taken)
        self.wait_same(c)

    def test_writer_stops(self):
        """One that stops in order gives up its place at once."""
        c = self.new_masters()
        writer = c.writer()
        began = time.monotonic()
        writer.stop()
        self.assertLess(self.back(c, began, "/back"), TTL * SLOW)

    def test_writer_is_killed_and_back(self):
        """Until its lease of before has expired there is no writer: it does not name itself."""
        c = self.new_masters(masters=1)
        (writer,) = c.masters
        self.expect(c.put_at(writer, "/before", "value"), 201)
        writer.kill()
        writer.start()

        def taken():
            status = c.put_at(writer, "/after", "value", follow=False).status
            self.assertIn(status, (201, 503))
            return status == 201
        poll("it writes again", 20 * SLOW, taken)

    def test_writer_cuts_off(self):
        """One that stops in the middle of an upload that stands still gives up its place, too."""
        c = self.new_masters()
        writer = c.writer()
        with Raw(writer.port) as connection:
            connection.send(b"PUT /stuck HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nx")
            poll("it is under way", 10 * SLOW,
                 lambda: c.admin("/admin/status", writer)["queues"]["locked_keys"] == 1)
            writer.stop()
            began = time.monotonic()
            # Three quarters of the TTL at least are left of a lease that is not given back.
            self.assertLess(self.back(c, began, "/back"), TTL / 2 * SLOW)


if __name__ == "__main__":
    unittest.main()
