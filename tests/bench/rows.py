"""What is compared with what. A row compares two figures, larder's and a limit's, which are measured
in turns A B A B: its result is the ratios of the turns. Or it holds one figure against a bound."""
import os
import subprocess
import time

import means
from means import MIB, Failed, load, raw_writes

# Without a peer: minikeyvalue's own figures, in a run where nginx answered so many 302s a second;
# they are scaled by what nginx answers in the same turn.
MKV_PUT, MKV_CYCLE, MKV_NGINX = 3000.0, 1450.0, 130000.0


ROWS = 26  # about so many share the time


class Row:
    """One line of the table."""

    def __init__(self, name, what, against, target, unit, bound="ratio"):
        self.name, self.what, self.against = name, what, against
        self.target, self.unit = target, unit
        self.bound = bound  # "ratio": a / b; "least", "most": a alone. target None: for information
        self.a, self.b = [], []
        self.notes = []
        self.skipped = None
        self.detail = None  # of the load generator's, of the last turn

    def values(self):
        """What is held against the target, a value a turn."""
        if self.bound == "ratio":
            return [a / b for a, b in zip(self.a, self.b) if b]
        return list(self.a)

    def median(self):
        values = sorted(self.values())
        middle = len(values) // 2
        if not values:
            return None
        return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2

    def reached(self):
        if self.median() is None or self.target is None:
            return None
        return self.median() <= self.target if self.bound == "most" else self.median() >= self.target

    def score(self):
        """(median, worst, best) as parts of the target: 1 is reached."""
        parts = [self.target / v if self.bound == "most" else v / self.target
                 for v in self.values() if v]
        middle = self.target / self.median() if self.bound == "most" else self.median() / self.target
        return middle, min(parts), max(parts)


class Bench:
    """One run: its settings, what is running, and the rows so far."""

    def __init__(self, root, full, turns, seconds, peer, wanted, limit, say):
        self.root, self.full, self.turns, self.seconds = root, full, turns, seconds
        self.peer, self.wanted, self.say = peer, wanted, say
        self.limit = limit
        self.start_clock()
        self.load = os.getloadavg()[0]
        self.rows = []
        self.nginx = None
        self.run_id = "%x" % int(time.time())
        self._names = 0

    def start_clock(self):
        """The rows share the time from here on."""
        self.began = time.monotonic()

    def folder(self, name):
        return os.path.join(self.root, name)

    def prefix(self):
        """Keys that nobody has used, on a peer either."""
        self._names += 1
        return "/bench-%s-%d/" % (self.run_id, self._names)

    def wants(self, *names):
        return not self.wanted or any(n.startswith(w) for n in names for w in self.wanted)

    def row(self, row, a=None, b=None, turns=None, need=None, after=None):
        """Measures a row, unless it was not asked for; `need` is why it cannot be. a() gives a
        figure or what the load generator said, b() the limit's; after() is run behind each turn.
        Every row gets one turn, unless twice the time has passed, and more while its share lasts."""
        if not self.wants(row.name):
            return row
        self.rows.append(row)
        row.skipped = need
        share = self.limit if self.wanted else self.limit * min(1.0, len(self.rows) / ROWS)
        for turn in range(0 if need else turns or self.turns):
            passed = time.monotonic() - self.began
            if passed > (share if turn else 2 * self.limit):
                row.notes.append("%d turns: the time was up" % turn)
                break
            try:
                if turn == 0 and row.bound == "ratio" and not after:
                    self._warm(a, b)
                self._turn(row, a, b, after)
            except (Failed, OSError, AssertionError) as failure:
                row.notes.append("turn %d failed: %s" % (turn + 1, str(failure)[:300]))
        if not row.a and not row.skipped:
            row.skipped = "; ".join(row.notes) or "no time was left"
        self.say(row)
        return row

    def _warm(self, a, b):
        """A short turn that does not count: caches are filled, connections met."""
        seconds, self.seconds = self.seconds, 0.3
        try:
            a()
            b()
        finally:
            self.seconds = seconds

    def _turn(self, row, a, b, after):
        first = a()
        if isinstance(first, dict):
            row.detail = first
            first = first["per_second"]
        second = b() if b else None
        if isinstance(second, dict):
            second = second["per_second"]
        row.a.append(first)
        row.b.append(second)
        if after:
            after()

    def no_nginx(self):
        return None if self.nginx else "nginx is missing (tools/deps.sh bench)"

    def space(self, gib):
        """Why there is too little room for what a row writes, or None."""
        stat = os.statvfs(self.root)
        free = stat.f_bavail * stat.f_frsize / (1 << 30)
        return None if free >= gib else "it needs %d GiB below %s, and %.1f are free" % (
            gib, self.root, free)

    # --- loads ---

    def nginx_302(self):
        return load(self.nginx.url, "get", 100, self.seconds, prefix="/302/", check="none")

    def mkv(self, rate):
        """minikeyvalue's figure, scaled to what this machine does just now."""
        return rate * self.nginx_302()["per_second"] / MKV_NGINX

    def puts(self, url, size, clients, **options):
        return load(url, "put", clients, self.seconds, size=size, prefix=self.prefix(), **options)


# --- the index ---

def gets(b, url, keys, op="get", clients=100):
    return load(url, op, clients, b.seconds, keys=keys, order="random", check="none")


def index_rows(b):
    """GET, 404, list, memory and restart over filled indexes."""
    names = ("get-302", "get-404", "large-get", "large-404", "list", "memory", "restart")
    if not b.wants(*names):
        return
    large = 10000000 if b.full else 1000000
    title = "10 million" if b.full else "1 million"
    stores = {}
    try:
        for keys in sorted({10000, 1000000, large}):
            stores[keys] = means.Store(b.folder("index%d" % keys))
            stores[keys].fill(keys)
            stores[keys].start()
        one, small, big = stores[1000000], stores[10000], stores[large]
        b.start_clock()  # filling them is nobody's share
        b.row(Row("get-302", "GET → 302, 100 connections, 1 million keys", "nginx `return 302`",
                  1.0, "/s"), lambda: gets(b, one.url, 1000000), b.nginx_302, need=b.no_nginx())
        b.row(Row("get-404", "GET of a missing key → 404, 100 connections", "nginx `return 404`",
                  1.05, "/s"), lambda: gets(b, one.url, 1000000, "missing"),
              lambda: load(b.nginx.url, "missing", 100, b.seconds, prefix="/404/"),
              need=b.no_nginx())
        b.row(Row("large-get", "GET → 302 with %s keys" % title, "itself with 10 thousand", 0.8,
                  "/s"), lambda: gets(b, big.url, large), lambda: gets(b, small.url, 10000))
        b.row(Row("large-404", "GET → 404 with %s keys" % title, "itself with 10 thousand", 0.8,
                  "/s"), lambda: gets(b, big.url, large, "missing"),
              lambda: gets(b, small.url, 10000, "missing"))
        list_row(b, big, large, title)
        memory_rows(b, big, title)
    finally:
        for store in stores.values():
            store.stop()


def list_row(b, store, keys, title):
    """The 99th percentile of pages that begin anywhere; the slowest of them is the note's."""
    def page():
        found = load(store.url, "list", 1, b.seconds, keys=keys - 1000, order="random", page=1000)
        slowest.append(found["latency_us"]["max"] / 1000)
        return found["latency_us"]["p99"] / 1000
    slowest = []
    row = b.row(Row("list", "list, a page of 1,000 anywhere in %s keys, 99th percentile" % title, "",
                    3.0, "ms", "most"), page)
    if slowest:
        row.notes.append("the slowest page took %.1f ms" % max(slowest))


def memory_rows(b, store, title):
    """After all that the rows before asked of it."""
    row = b.row(Row("memory", "memory of the master at %s keys (most resident)" % title, "", 256.0,
                    "MiB", "most"), lambda: store.memory()[0], turns=1)
    if row.a:
        row.notes.append("%.0f MiB of it were its own, the rest mapped files" % store.memory()[1])
    firsts = []

    def restart():
        first, redirect = store.restart("/bench/0000000001")
        firsts.append(first)
        return redirect
    row = b.row(Row("restart", "restart of the master at %s keys until it answers 302" % title, "",
                    1.0, "s", "most"), restart)
    if firsts:
        row.notes.append("its first answer came after %.3f s" % max(firsts))


# --- values ---

def volume_rows(b, store):
    """GET of whole files from one volume, and of the same files from nginx. Nobody looks at the
    bytes, on either side: else the generator would be what is measured."""
    for name, size, target, count in (("1M", "1M", 1.2, 64), ("64K", "64K", 1.1, 512),
                                      ("1K", "1K", 1.0, 1000)):
        if not b.wants("volume-" + name):
            continue
        options = {"prefix": "/f%s/" % name, "size": size, "keys": count}
        need = b.no_nginx()
        for server in () if need else (store.volumes[0], b.nginx):
            load(server.url, "put", 4, **options)
        b.row(Row("volume-" + name, "volume GET %siB, 16 connections" % name, "nginx, sendfile",
                  target, "/s"),
              lambda: load(store.volumes[0].url, "get", 16, b.seconds, check="none", **options),
              lambda: load(b.nginx.url, "get", 16, b.seconds, check="none", **options), need=need)


def peer_or_mkv(b, rate, measure):
    """(the limit's name, what measures it, why it cannot be)."""
    if b.peer:
        return b.peer, measure, None
    name = "minikeyvalue (%s/s × this nginx / 130,000)" % format(int(rate), ",")
    return name, lambda: b.mkv(rate), b.no_nginx()


def unsynced_rows(b, store):
    name, measure, need = peer_or_mkv(b, MKV_PUT, lambda: b.puts(b.peer, "1K", 16))
    b.row(Row("put-1K", "PUT 1 KiB, 3 replicas, 16 connections, `--sync=none`", name, 2.5, "/s"),
          lambda: b.puts(store.url, "1K", 16), measure, need=need)
    if b.peer:
        peer_rows(b, store)
    b.row(Row("put-1K-nginx", "PUT 1 KiB, 3 replicas, 16 connections, `--sync=none`",
              "a third of nginx's WebDAV PUT", None, "/s"), lambda: b.puts(store.url, "1K", 16),
          lambda: b.puts(b.nginx.url, "1K", 16)["per_second"] / 3, need=b.no_nginx())
    b.row(Row("put-1K-files", "PUT 1 KiB, 3 replicas, 16 connections, `--sync=none`",
              "the same files alone, written by three threads", None, "/s"),
          lambda: b.puts(store.url, "1K", 16),
          lambda: means.placed_files(b.root, 1024, b.seconds, False))


def cycle_row(b, store):
    """Behind all others: what it deletes may make new files slow (means.py)."""
    name, measure, need = peer_or_mkv(
        b, MKV_CYCLE, lambda: load(b.peer, "cycle", 16, b.seconds, prefix=b.prefix()))
    b.row(Row("cycle", "write, read, delete of 1 KiB, 16 connections, unsynced", name, 2.5, "/s"),
          lambda: load(store.url, "cycle", 16, b.seconds, prefix=b.prefix()), measure, need=need)


def peer_rows(b, store):
    """What a peer can be asked beside the targets; its own keys are written first."""
    options = {"prefix": b.prefix(), "keys": 1000}
    for url in (store.url, b.peer):
        load(url, "put", 16, **options)
    for op in ("get", "missing", "get-follow"):
        b.row(Row("peer-" + op, "%s, 1,000 keys, 16 connections" % op, b.peer, None, "/s"),
              lambda op=op: load(store.url, op, 16, b.seconds, **options),
              lambda op=op: load(b.peer, op, 16, b.seconds, **options))
    for url in (store.url, b.peer):
        load(url, "delete", 16, **options)


def synced_rows(b, store):
    name, measure, need = peer_or_mkv(b, MKV_PUT, lambda: b.puts(b.peer, "1K", 64))
    b.row(Row("put-1K-synced", "PUT 1 KiB, 3 replicas, 64 connections, everything synced",
              name + ", unsynced", 1.0, "/s"), lambda: b.puts(store.url, "1K", 64), measure,
          need=need)
    b.row(Row("put-1K-synced-files", "PUT 1 KiB, 3 replicas, 64 connections, everything synced",
              "the same files alone, by three threads, 64 to two syncfs", None, "/s"),
          lambda: b.puts(store.url, "1K", 64),
          lambda: means.placed_files(b.root, 1024, b.seconds, True))
    b.row(Row("put-1K-disk", "PUT 1 KiB, 3 replicas, 64 connections, everything synced",
              "raw synced files, three a value, 192 at a time", None, "/s"),
          lambda: b.puts(store.url, "1K", 64),
          lambda: raw_writes(b.root, 1024, 192, b.seconds, True) / 3)
    b.row(Row("put-1M", "PUT 1 MiB, 3 replicas, synced, 16 connections",
              "raw synced writes of 3 MiB, 48 files at a time", 0.8, "/s"),
          lambda: b.puts(store.url, "1M", 16),
          lambda: raw_writes(b.root, MIB, 48, b.seconds, True) / 3, need=b.space(12))
    large_put(b, store)


def large_put(b, store):
    """One value; its copies are removed behind each turn, and that is waited for."""
    mib = 1024 if b.full else 128
    name = "1 GiB" if b.full else "128 MiB (FULL=1: 1 GiB)"
    last = []

    def put():
        last[:] = [b.prefix()]
        return load(store.url, "put", 1, count=1, size="%dM" % mib, prefix=last[0], check="none",
                    timeout="600s")["mb_per_second"]

    def raw():
        return raw_writes(b.root, mib * MIB, 3, 600, True, files=1) / 3 * mib * 1.048576

    def clean():
        load(store.url, "delete", 1, count=1, keys=1, prefix=last[0])
    b.row(Row("put-large", "PUT %s, 3 replicas, synced, one client" % name,
              "raw synced writes of three such files at once", 0.85, "MB/s"), put, raw,
          need=b.space(mib * 8 / 1024), after=clean)


# --- rebuild; what is underneath ---

def rebuild_row(b):
    """From one volume, with its directories in the page cache since they were just made."""
    if not b.wants("rebuild"):
        return
    keys = 1000000 if b.full else 50000
    store = means.Store(b.folder("rebuild"), volumes=1, subvolumes=1)
    need = b.space(6 if b.full else 1)
    try:
        if not need:
            os.makedirs(store.volumes[0].dir)
            means.run([means.TOOLS + "/tool_fill", "volume", store.volumes[0].dir, str(keys)], 900)
            store.volumes[0].start()

        def rebuild():
            began = time.monotonic()
            done = subprocess.run([means.BIN + "/larder", "rebuild", "--db", store.db, "--volumes",
                                   store.volumes[0].address, "--replicas", "1", "--subvolumes", "1"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=900)
            if done.returncode:
                raise Failed("larder rebuild: " + done.stdout.decode(errors="replace")[-300:])
            return keys / (time.monotonic() - began)
        b.row(Row("rebuild", "rebuild of %s keys from one volume in the page cache" %
                  format(keys, ","), "", 50000.0, "keys/s", "least"), rebuild, need=need)
    finally:
        store.stop(remove=False)


def base_rows(b):
    """What LevelDB does without a server around it."""
    for name, what, threads in (("leveldb-get", "get", 2), ("leveldb-put", "put", 1),
                                ("leveldb-put-synced", "putsync", 16)):
        b.row(Row(name, "bare LevelDB, 1 million keys: %s, %d threads" % (
            {"get": "gets", "put": "puts", "putsync": "synced puts"}[what], threads), "", None, "/s",
            "least"), lambda w=what, t=threads: means.ldb_loop(b.root, 1000000, t, b.seconds, w))


def with_store(b, sync, names, *parts, name=None):
    if not b.wants(*names):
        return
    store = means.Store(b.folder(name or "store-" + sync), sync=sync)
    try:
        store.start()
        for part in parts:
            part(b, store)
    finally:
        store.stop(remove=False)


def all_rows(b):
    index_rows(b)
    with_store(b, "none", ("volume-1M", "volume-64K", "volume-1K", "put-1K", "peer-get",
                           "peer-missing", "peer-get-follow", "put-1K-nginx", "put-1K-files"),
               volume_rows, unsynced_rows)
    with_store(b, "full", ("put-1K-synced", "put-1K-synced-files", "put-1K-disk", "put-1M",
                           "put-large"), synced_rows)
    rebuild_row(b)
    base_rows(b)


def last_rows(b):
    with_store(b, "none", ("cycle",), cycle_row, name="store-cycle")
