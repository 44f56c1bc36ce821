"""One damaged block of a file: a bit flipped, some bytes zeroed, the end cut off."""
import os

BLOCK = 512
KINDS = ("flip", "zero", "cut")


def damage(path, rng, kind):
    """Damages a file in place; a text that says how, or None where that would change nothing."""
    size = os.path.getsize(path)
    if size == 0:
        return None
    at = rng.randrange(size)
    with open(path, "r+b") as f:
        if kind == "cut":
            f.truncate(at)
            return "cut to %d of %d bytes" % (at, size)
        if kind == "flip":
            f.seek(at)
            byte, bit = f.read(1)[0], rng.randrange(8)
            f.seek(at)
            f.write(bytes([byte ^ 1 << bit]))
            return "bit %d of byte %d of %d flipped" % (bit, at, size)
        at -= at % BLOCK
        f.seek(at)
        old = f.read(BLOCK)
        if not old.strip(b"\0"):
            return None
        f.seek(at)
        f.write(bytes(len(old)))
        return "%d bytes at %d of %d zeroed" % (len(old), at, size)


def damage_attribute(path, rng):
    """One of larder's attributes of a value: changed, emptied or removed."""
    names = [n for n in os.listxattr(path) if n.startswith("user.larder.")]
    if not names:
        return None
    name = rng.choice(names)
    value = bytearray(os.getxattr(path, name))
    how = rng.choice(("changed", "emptied", "removed"))
    if how == "removed":
        os.removexattr(path, name)
    elif how == "emptied" or not value:
        os.setxattr(path, name, b"")
    else:
        value[rng.randrange(len(value))] ^= 1 << rng.randrange(7)
        os.setxattr(path, name, bytes(value))
    return "%s %s" % (name, how)
