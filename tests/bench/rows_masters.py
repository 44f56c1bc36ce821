"""Rows of several masters, beside one master over the same disk: the index's log, PUT, and GET as it
is by default (linearizable) and from what is here (--stale-reads)."""
import json
import os
import shutil

import means
from masters import Masters, have_etcd
from means import load
from rows import Row

KEYS = 2000  # that the GETs ask for
IN_FLIGHT = 1000  # changes of the index; each names three places
RECORD_BYTES = 100


class Several(Masters):
    """Three of each; the last master answers from what it has."""

    def __init__(self, etcds_only=False):
        super().__init__(volumes=0 if etcds_only else 3, start=False,
                         master_options=["--log-level", "error"],
                         volume_options=["--scrub-days", "0", "--reserve", "64M", "--log-level",
                                         "error"])
        if not etcds_only:
            self.masters[-1].argv.append("--stale-reads")
            for volume in self.volumes:
                volume.start()
            self.start_master()


def gets(b, url):
    return load(url, "get", 100, b.seconds, keys=KEYS, order="random", check="none")


def commits(b, where, etcds):
    """Changes a second, through an index of its own."""
    home = os.path.join(b.root, "commits")
    changes = 200000 if b.full else 60000
    try:
        found = json.loads(means.run([means.TOOLS + "/master_commits", home, str(changes),
                                      str(IN_FLIGHT), str(RECORD_BYTES), where], 300))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    etcds.etcd("kv/deleterange", key="AA==", range_end="AA==")  # the next turn begins anew
    return found["operations"] / found["seconds"]


def commits_row(b, need):
    row = Row("masters-commits", "changes of the index, 1,000 in flight, three etcd nodes", "",
              30000.0, "/s", "least")
    if need or not b.wants(row.name):
        b.row(row, need=need)
        return
    etcds = Several(etcds_only=True)
    try:
        b.row(row, lambda: commits(b, ",".join(e.url for e in etcds.etcds), etcds))
    finally:
        etcds.close(check=False)


def request_rows(b, one, several):
    """One master and several, with volumes of their own each, in turns."""
    url, stale = several.masters[1].url, several.masters[2].url
    b.row(Row("masters-put", "PUT 1 KiB, 3 replicas, 64 connections, three masters, synced",
              "one master", 0.8, "/s"),
          lambda: b.puts(several.writer().url, "1K", 64), lambda: b.puts(one.url, "1K", 64))
    for at in (several.writer().url, one.url):
        load(at, "put", 32, keys=KEYS, count=KEYS, size=1)
    b.row(Row("masters-get", "GET → 302, linearizable, 100 connections, three masters",
              "one master", 0.25, "/s"), lambda: gets(b, url), lambda: gets(b, one.url))
    b.row(Row("masters-get-stale", "GET → 302, `--stale-reads`, 100 connections, three masters",
              "one master", 1.0, "/s"), lambda: gets(b, stale), lambda: gets(b, one.url))


def set_aside(b, several):
    """Ends it; its files stay until all is removed (means.py says why)."""
    for server in several.servers():
        if server.running():
            server.kill()
    os.rename(several.dir, b.folder("three-masters"))
    several.close(check=False)


def all_rows(b):
    names = ("masters-put", "masters-get", "masters-get-stale")
    need = None if have_etcd() else "etcd is missing (tools/deps.sh bench)"
    commits_row(b, need)
    if need or not b.wants(*names):
        return
    one = means.Store(b.folder("one-master"), sync="full")
    several = None
    try:
        one.start()
        several = Several()
        request_rows(b, one, several)
    finally:
        if several:
            set_aside(b, several)
        one.stop(remove=False)
