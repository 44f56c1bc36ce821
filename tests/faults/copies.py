"""What really is on the disks, looked at apart from larder: exactly N whole copies of every key that
there is, and nothing else."""
import os

import means  # first: it says where the harness is
from layout import key_of_path

from history import FOUND, GET
from values import judge


def _key_of(path):
    """The key and the generation that a file's name tells; (None, why not)."""
    parts = path.split("/")
    try:
        key, generation = key_of_path("/".join(parts[1:] if parts[0].startswith("sv") else parts))
        return key.decode(), generation
    except (ValueError, UnicodeDecodeError) as e:
        return None, str(e)


def complaints_about(store, listed):
    """What is wrong with the files of a store whose janitor has nothing left to do. Each copy also
    goes into the history, as if a client had read it: all of them must be what the key holds now."""
    complaints, found = [], {}
    for volume in store.volumes:
        for path in store.files(volume):
            start = store.history.now()
            key, generation = _key_of(path)
            if key is None:
                complaints.append("%s holds %s: %s" % (volume.name, path, generation))
                continue
            with open(os.path.join(volume.dir, path), "rb") as f:
                verdict, text = judge(key, f.read())
            found.setdefault(key, []).append((volume.name, generation))
            if verdict == "good":
                store.history.add("the disk of " + volume.name, key, GET, text, start, FOUND,
                                  counts=False)
            else:
                complaints.append("the copy of %s on %s is %s: %s" % (key, volume.name, verdict,
                                                                     text))
    for key, places in found.items():
        volumes, generations = {v for v, _ in places}, {g for _, g in places}
        if key not in listed:
            complaints.append("files of %s, which is not there: %s" % (key, places))
        elif len(places) != store.replicas or len(volumes) != len(places) or len(generations) != 1:
            complaints.append("%s has not %d copies of one version on as many volumes: %s" % (
                key, store.replicas, places))
    complaints += ["%s has no file" % key for key in listed if key not in found]
    return complaints + _left_over(store)


def _left_over(store):
    """Temp files."""
    return ["temp files are left in %s: %s" % (folder, names[:5])
            for volume in store.volumes for folder, _, names in os.walk(volume.dir)
            if folder.endswith("/.larder/tmp") and names]
