"""minikeyvalue, as far as its volumes and its data can tell: a master of our own that does what its
README and its sources say, and its index as text."""
import base64
import json
import os
import subprocess

from harness import ROOT, fetch, md5, mkv_path, placement

MKVDB = os.environ.get("CLUSTER_MKVDB") or os.path.join(ROOT, "build/release/tests/cluster/mkvdb")


def write_index(folder, records):
    """Makes a database of {key: text}."""
    lines = b"".join(k + b"\t" + v.encode() + b"\n" for k, v in records.items())
    subprocess.run([MKVDB, "put", folder], input=lines, check=True)


def read_index(folder):
    """{key: text} of what minikeyvalue would look at: keys that begin with a slash."""
    out = subprocess.run([MKVDB, "dump", folder], stdout=subprocess.PIPE, check=True).stdout
    pairs = (line.split(b"\t", 1) for line in out.split(b"\n") if line.startswith(b"/"))
    return {key: value.decode() for key, value in pairs}


def record(places, value=None, deleted=False):
    return (("DELETED" if deleted else "") + ("HASH" + md5(value) if value is not None else "")
            + ",".join(places))


class Master:
    """Puts, gets and deletes over volumes with the requests that minikeyvalue's master makes. The
    index is a dict of its texts, so that it can be handed to and taken from larder."""

    def __init__(self, volumes, replicas=3, subvolumes=10, index=None):
        self.volumes, self.replicas, self.subvolumes = volumes, replicas, subvolumes
        self.index = dict(index or {})

    def places(self, key):
        return placement(key, self.volumes, self.subvolumes)[:self.replicas]

    def lookup(self, key):
        """(state, hash, places) of a record; the state as minikeyvalue names it."""
        text = self.index.get(key)
        if text is None:
            return "HARD", "", []
        state = "NO"
        if text.startswith("DELETED"):
            state, text = "SOFT", text[7:]
        digest = ""
        if text.startswith("HASH"):
            digest, text = text[4:36], text[36:]
        return state, digest, text.split(",")

    def put(self, key, value):
        if not value:
            return 411
        if self.lookup(key)[0] == "NO":
            return 403
        places = self.places(key)
        self.index[key] = record(places, deleted=True)
        for place in places:
            answer = fetch("PUT", "http://" + place + mkv_path(key), value)
            if answer.status not in (201, 204):
                return 500
        self.index[key] = record(places, value)
        return 201

    def get(self, key, headers=None):
        """The answer of the volume, or a status."""
        state, _, places = self.lookup(key)
        if state != "NO":
            return 404
        for place in places:
            url = "http://" + place + mkv_path(key)
            if fetch("HEAD", url).status == 200:
                return fetch("GET", url, headers=headers)
        return 404

    def delete(self, key, unlink=False):
        state, digest, places = self.lookup(key)
        if state == "HARD" or (unlink and state == "SOFT"):
            return 404
        self.index[key] = "DELETED" + ("HASH" + digest if digest else "") + ",".join(places)
        if unlink:
            return 204
        for place in places:
            if fetch("DELETE", "http://" + place + mkv_path(key)).status not in (204, 404):
                return 500
        del self.index[key]
        return 204

    def rebalance(self, key):
        """Copies to where the key should be, then removes it from where it should not."""
        _, digest, places = self.lookup(key)
        wanted = self.places(key)
        value = next(a.body for a in (fetch("GET", "http://" + p + mkv_path(key)) for p in places)
                     if a.status == 200)
        for place in wanted:
            if place not in places:
                assert fetch("PUT", "http://" + place + mkv_path(key), value).status == 201
        self.index[key] = record(wanted, value if digest else None)
        for place in places:
            if place not in wanted:
                assert fetch("DELETE", "http://" + place + mkv_path(key)).status == 204

    def rebuild(self):
        """The index from the listings of the volumes: {key: sorted places}."""
        found = {}
        for volume in self.volumes:
            subs = [e["name"] for e in self._list(volume, "/") if e["type"] == "directory"
                    and len(e["name"]) == 4 and e["name"].startswith("sv")]
            for place in [volume + "/" + s for s in subs] or [volume]:
                for outer in self._directories(place, "/"):
                    for inner in self._directories(place, "/%s/" % outer):
                        for entry in self._list(place, "/%s/%s/" % (outer, inner)):
                            if entry["type"] == "file":
                                key = base64.b64decode(entry["name"])
                                found.setdefault(key, []).append(place)
        return {key: sorted(places) for key, places in found.items()}

    def _list(self, place, path):
        answer = fetch("GET", "http://" + place + path)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def _directories(self, place, path):
        return [e["name"] for e in self._list(place, path)
                if e["type"] == "directory" and len(e["name"]) == 2]
