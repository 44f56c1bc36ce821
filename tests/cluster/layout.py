"""Where values stand and what their files are called, computed apart from larder."""
import base64
import hashlib


def md5(data):
    return hashlib.md5(data).hexdigest()


def to_bytes(key):
    return key.encode() if isinstance(key, str) else key


def placement(key, volumes, subvolumes=10):
    """All places of a key, best first."""
    scored = sorted(((hashlib.md5(to_bytes(key) + v.encode()).digest(), v) for v in volumes),
                    key=lambda pair: pair[0], reverse=True)
    if subvolumes == 1:
        return [v for _, v in scored]
    return ["%s/sv%02X" % (v, int.from_bytes(d[12:], "big") % subvolumes) for d, v in scored]


def mkv_path(key):
    key = to_bytes(key)
    return "/%s/%s/%s" % (md5(key)[:2], md5(key)[2:4], base64.b64encode(key).decode())


def file_path(key, generation=0):
    key = to_bytes(key)
    name = base64.b64encode(key).decode().replace("/", "_")
    if generation:
        name += ".%d" % generation
    cut = ""
    while len(name) > 255:
        cut += name[:250] + "-/"
        name = name[250:]
    return "/%s/%s/%s%s" % (md5(key)[:2], md5(key)[2:4], cut, name)


def key_of_path(path):
    """Key and generation of a file below a place, for larder's names."""
    name, _, generation = "".join(path.strip("/").split("/")[2:]).replace("-", "").partition(".")
    return base64.b64decode(name.replace("_", "/")), int(generation or 0)
