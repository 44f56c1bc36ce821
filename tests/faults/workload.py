"""Clients that write, read, delete and list, and note all of it in the store's history."""
import http.client
import json
import random
import socket
import threading
import time

from harness import quote

from history import (ABSENT, DELETE, EXISTS, FOUND, GET, LIST, MISSING, OK, PUT, UNKNOWN)
from values import LEAST, judge, make_value

SIZES = (LEAST + 100, 1000, 5000, 30000, 100000, 400000, 1500000)
WEIGHTS = (20, 30, 20, 10, 5, 2, 1)
BROKEN = (OSError, http.client.HTTPException)


class NotSent(Exception):
    """The connection was refused: the request has certainly done nothing."""


class InHalves:
    """A body that does something between its halves. (http.client asks for its length.)"""

    def __init__(self, value, meanwhile):
        self.parts, self.meanwhile, self.length = [value[:len(value) // 2],
                                                   value[len(value) // 2:]], meanwhile, len(value)

    def __iter__(self):
        yield self.parts[0]
        self.meanwhile()
        yield self.parts[1]


class Client:
    """One client with kept connections; for one thread."""

    def __init__(self, store, name, timeout=20):
        self.store, self.history, self.name, self.timeout = store, store.history, name, timeout
        self.kept, self.writes = {}, 0
        self.master = store.url.partition("//")[2]

    def close(self):
        for connection in self.kept.values():
            connection.close()
        self.kept = {}

    def _connection(self, host):
        if host not in self.kept:
            connection = http.client.HTTPConnection(host, timeout=self.timeout)
            try:
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as e:
                raise NotSent(str(e)) from e
            self.kept[host] = connection
        return self.kept[host]

    def _once(self, method, host, path, body=None):
        """Status, headers and body of one answer."""
        connection = self._connection(host)
        try:
            headers = {"Content-Length": str(body.length)} if isinstance(body, InHalves) else {}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except BROKEN:
            self.kept.pop(host).close()
            raise

    def request(self, method, path, body=None):
        """The last answer of a chain of redirects, and whether it came from the master."""
        host = self.master
        for _ in range(10):
            status, headers, data = self._once(method, host, path, body)
            if host != self.master and status == 302:
                self.history.sent_on += 1
            if status != 302:
                return status, data, host == self.master
            host, _, path = headers["Location"].partition("//")[2].partition("/")
            path = "/" + path
        raise http.client.HTTPException("too many redirects")

    # --- what goes into the history ---

    def _change(self, op, key, ident, body):
        start = self.history.now()
        try:
            status = self.request("PUT" if op == PUT else "DELETE", quote(key), body)[0]
        except NotSent:
            return None
        except BROKEN:
            status = 0
        if status in (201, 204):
            result = OK
        elif status == 403 and op == PUT and not self.store.overwrite:
            result = EXISTS
        elif status == 404 and op == DELETE:
            result = MISSING
        elif status == 0 or status >= 500:
            result = UNKNOWN
        else:
            if status != 409:
                self.history.complain("failures", "%s %s answered %d" % (op, key, status))
            return status  # a 4xx has changed nothing
        self.history.add(self.name, key, op, ident, start, result)
        return status

    def put(self, key, size, meanwhile=None):
        """The status; 0 without an answer; None where it was not even sent. `meanwhile` is called
        in the middle of the body."""
        self.writes += 1
        ident = "%s.%d" % (self.name, self.writes)
        value = make_value(key, ident, size)
        return self._change(PUT, key, ident, InHalves(value, meanwhile) if meanwhile else value)

    def delete(self, key):
        return self._change(DELETE, key, None, None)

    def get(self, key, must=False):
        """The status. `must`: an answer other than the value or 404 is a failure."""
        start = self.history.now()
        try:
            status, data, from_master = self.request("GET", quote(key))
        except (NotSent, *BROKEN) as e:
            self.history.cut += not isinstance(e, NotSent)
            if must:
                self.history.complain("failures", "%s cannot be read: %r" % (key, e))
            return 0
        if status == 200:
            verdict, text = judge(key, data)
            if verdict == "good":
                self.history.add(self.name, key, GET, text, start, FOUND)
            else:
                self.history.complain(verdict, "%s read by %s is %s: %s" % (key, self.name, verdict,
                                                                           text))
        elif status == 404 and from_master:
            self.history.add(self.name, key, GET, ABSENT, start, MISSING)
        elif must:
            self.history.complain("failures", "%s cannot be read: %d" % (key, status))
        return status

    def list_all(self, prefix="/"):
        """(start, set of keys) of one list; raises where it does not come through."""
        start, keys, after = self.history.now(), set(), ""
        while True:
            path = "%s?list&limit=1000%s" % (quote(prefix), after)
            status, data, _ = self.request("GET", path)
            if status != 200:
                raise OSError("the list of keys answered %d" % status)
            page = json.loads(data)
            keys.update(page["keys"])
            if not page["next"]:
                return start, keys
            after = "&start=" + quote(page["next"]).replace("&", "%26")

    def note_listed(self, key, listed):
        """What a list says of one key."""
        start, keys = listed
        self.history.add(self.name, key, LIST, None, start, FOUND if key in keys else MISSING)


class Worker(threading.Thread):
    def __init__(self, load, number):
        super().__init__(daemon=True)
        self.load, self.history = load, load.store.history
        self.random = random.Random(load.seed * 1000 + number)
        self.client = load.store.new_client("c%d.%d" % (load.number, number), load.timeout)

    def run(self):
        try:
            while not self.load.stopping.is_set():
                status = self.step()
                if status is None or status == 0 or status >= 500:
                    self.client.close()  # a server is away: not all the processor time for asking
                    time.sleep(0.01)
        except Exception as e:
            self.history.complain("failures", "%s broke: %r" % (self.client.name, e))
        finally:
            self.client.close()

    def step(self):
        what = self.random.random()
        key = self.load.key(self.random)
        if what < self.load.puts:
            return self.client.put(key, self.random.choices(self.load.sizes, self.load.weights)[0])
        if what < self.load.puts + self.load.deletes:
            return self.client.delete(key)
        if what < 0.995:
            return self.client.get(key)
        return self.list()

    def list(self):
        try:
            listed = self.client.list_all("/f/")
        except (NotSent, *BROKEN, ValueError):
            return 0
        for key in self.load.some_keys(self.random):
            self.client.note_listed(key, listed)
        return 200


class Workload:
    """Workers on a small space of keys, so that what they do overlaps. Use it in `with`."""

    count = 0

    def __init__(self, store, seed, workers=6, keys=60, puts=0.55, deletes=0.1, sizes=SIZES,
                 weights=WEIGHTS, timeout=20):
        Workload.count += 1
        self.store, self.seed, self.number, self.keys = store, seed, Workload.count, keys
        self.puts, self.deletes, self.sizes, self.weights = puts, deletes, sizes, weights
        self.timeout = timeout
        self.stopping = threading.Event()
        self.workers = [Worker(self, i) for i in range(workers)]

    def key(self, rng):
        return "/f/%d" % rng.randrange(self.keys)

    def some_keys(self, rng):
        return ["/f/%d" % n for n in rng.sample(range(self.keys), min(5, self.keys))]

    def __enter__(self):
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for worker in self.workers:
            worker.join(120)
            if worker.is_alive():
                self.store.history.complain("failures", "a client hangs")

    def more(self, operations, seconds=60):
        """Waits until so many more changes are acknowledged; False where it takes too long."""
        goal = self.store.history.acknowledged + operations
        deadline = time.monotonic() + seconds
        while self.store.history.acknowledged < goal:
            if time.monotonic() > deadline or self.store.history.failures:
                return False
            time.sleep(0.002)
        return True
