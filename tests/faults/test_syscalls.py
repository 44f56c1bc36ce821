"""One system call of a master or a volume fails, lies, or is the last one of the process, while a key
is written, overwritten, read and deleted."""
import glob
import random
import time
import unittest

import means
from inject import Injection
from store import FaultTest, poll

# A write is only made to fail where it goes to a file: the loops are woken by writes that never fail.
VOLUME_CALLS = ("write", "fsync", "syncfs", "openat", "renameat", "close", "fsetxattr", "mkdirat",
                "unlinkat", "newfstatat", "sendfile", "flistxattr,fgetxattr", "recvfrom,read,readv",
                "sendto,sendmsg,writev", "accept4", "epoll_ctl", "statfs,fstatfs")
MASTER_CALLS = ("write", "fdatasync", "openat", "close", "accept4", "recvfrom,read,readv",
                "sendto,sendmsg,writev", "epoll_ctl", "connect", "socket", "statfs,fstatfs",
                "pread64", "newfstatat")
ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EMFILE", "EINTR", "EAGAIN", "ENOMEM")
# A call that says it did nothing. (A write that says it wrote what it did not is damage: verify and
# a reader see it by the size, and test_damage.py has such.)
LIES = {"write": ("retval=0",), "sendfile": ("retval=0",)}
# These would only be a busy loop.
SENSELESS = {("epoll_ctl", "EAGAIN"), ("fsync", "EAGAIN"), ("syncfs", "EAGAIN")}


def faults_of(calls, lies):
    found = []
    for call in calls:
        for when in ("1", "2", "3"):
            found += [(call, "error=%s:when=%s" % (e, when)) for e in ERRORS
                      if (call, e) not in SENSELESS]
            found += [(call, "%s:when=%s" % (lie, when)) for lie in lies.get(call, ())]
    return found


class SyscallTest(FaultTest):
    def operations(self, client, rng, key):
        """Every flow once, on a key that is there and on one that is not."""
        old, new = key + "/old", key + "/new"
        client.put(new, rng.choice((200, 70000)))
        client.put(old, rng.choice((200, 70000)))
        client.get(old)
        client.get(new)
        client.delete(old)
        client.get(old)

    def write_fault(self, store, rng, server, client, key, what):
        """A fault in the writes to one file: the log of the index, or the temp file of a value that
        is just arriving."""
        if server is store.master:
            logs = glob.glob(store.master.dir + "/**/*.log", recursive=True)
            with Injection(server.process, "write", what, logs) as injection:
                self.operations(client, rng, key)
            return injection
        temp = []

        def meanwhile():
            try:
                temp.extend(poll("a temp file is there", 2,
                                 lambda: glob.glob(server.dir + "/.larder/tmp/*")))
            except AssertionError:
                return  # the value goes to other volumes
            injections.append(Injection(server.process, "write", what, temp).__enter__())
        injections = []
        try:
            client.put(key + "/old", 900000, meanwhile)
        finally:
            for injection in injections:
                injection.__exit__()
        client.get(key + "/old")
        return injections[0] if injections else None

    def mend(self, store, server):
        """A process that ended, or does not trust its disk any more, is started again."""
        died = server.process.poll() is not None
        if died:
            code = server.process.returncode
            if code < 0:
                store.history.complain("failures", "%s was ended by signal %d: %s" % (
                    server.name, -code, server.log_tail(10)))
            server.process = None
            server.start()
        elif server is not store.master:
            health = store.admin("/admin/health", server)
            if health.get("state") != "up":
                server.kill()
                server.start()
                store.volumes_up()
        return died

    def one(self, store, rng, server, call, what, number):
        client = store.new_client("s%d" % number)
        client.timeout = 15
        key = "/f/%d" % number
        client.put(key + "/old", rng.choice((200, 70000)))
        if call == "write":
            injection = self.write_fault(store, rng, server, client, key, what)
        else:
            with Injection(server.process, call, what) as injection:
                self.operations(client, rng, key)
        hit = injection is not None and injection.hits() > 0
        ended = self.mend(store, server)
        client.close()
        return hit, ended

    def play(self, name, server_of, calls):
        means.need_strace()
        rng = random.Random(self.seed)
        store = self.new_store(volumes=3, plain=True)
        # A lie about the log of the index is damage, which test_damage.py has.
        faults = faults_of(calls, {} if calls is MASTER_CALLS else LIES)
        rng.shuffle(faults)
        hits = ends = 0
        planned = means.rounds(75, len(faults))
        for number, (call, what) in means.until_enough(faults, planned, lambda: hits > planned // 4):
            began = time.monotonic()
            server = server_of(store, rng)
            print("%s %s:%s" % (server.name, call, what), end=" ", flush=True)
            hit, ended = self.one(store, rng, server, call, what, number)
            print("%s %.1f s" % ("met" if hit else "-",
                                          time.monotonic() - began), flush=True)
            hits, ends = hits + hit, ends + ended
            if store.history.wrong or store.history.torn or store.history.failures:
                self.fail("after %s %s: %s" % (call, what, store.history.wrong
                                               + store.history.torn + store.history.failures))
        self.end(store, name, hits, "of %d planned, the others met no call; %d ended the process" % (
            number + 1, ends))
        self.assertGreater(hits, planned // 4)

    def test_volume(self):
        self.play("one system call of a volume fails or lies",
                  lambda store, rng: rng.choice(store.volumes), VOLUME_CALLS)

    def test_master(self):
        self.play("one system call of the master fails", lambda store, rng: store.master,
                  MASTER_CALLS)


class KilledAtTest(FaultTest):
    """kill -9 at chosen system calls of a PUT, an overwrite and a DELETE."""

    def one(self, store, rng, server, call, when, number):
        client = store.new_client("k%d" % number)
        key = "/f/%d" % number
        client.put(key, 3000)
        with Injection(server.process, call, "signal=SIGKILL:when=%d" % when):
            client.put(key, 60000)
            client.get(key)
            client.put(key + "/new", 500)
            client.delete(key)
        died = server.process.poll() is not None
        store.start_again()
        client.get(key)
        client.get(key + "/new")
        client.close()
        return died

    def test_killed(self):
        means.need_strace()
        rng = random.Random(self.seed)
        store = self.new_store(volumes=3, plain=True)
        points = [("volume", c, w) for c in ("openat", "write", "fsetxattr", "fsync", "renameat",
                                             "unlinkat", "close") for w in (1, 2, 3)]
        points += [("master", c, w) for c in ("write", "fdatasync", "connect", "sendto,sendmsg,writev")
                   for w in (1, 2, 3, 4, 5, 6)]
        rng.shuffle(points)
        died, planned = 0, means.rounds(16, len(points))
        for number, (who, call, when) in means.until_enough(points, planned,
                                                            lambda: died > planned // 3):
            server = store.master if who == "master" else rng.choice(store.volumes)
            died += self.one(store, rng, server, call, when, number)
        self.end(store, "kill -9 at a chosen system call", died, "of %d planned" % (number + 1))
        self.assertGreater(died, planned // 3)


if __name__ == "__main__":
    unittest.main()
