"""Values that say what they are: a line with key, id and size, then bytes that follow from it."""
import hashlib

LEAST = 64  # bytes of the shortest value


def _head(key, ident, size):
    return ("larder %s %s %d\n" % (key.replace(" ", "%20"), ident, size)).encode()


def make_value(key, ident, size):
    head = _head(key, ident, size)
    if size < len(head):
        raise ValueError("a value of %d bytes does not hold its own description" % size)
    return head + hashlib.shake_128(head).digest(size - len(head))


def judge(key, data):
    """("good", id), or ("torn" | "wrong", what is wrong with it)."""
    line = data[:400].split(b"\n", 1)[0]
    parts = line.split(b" ")
    if not data:
        return "torn", "no bytes at all"
    if len(parts) != 4 or parts[0] != b"larder" or not parts[3].isdigit():
        return "wrong", "begins with %r" % data[:60]
    if parts[1].decode("latin-1") != key.replace(" ", "%20"):
        return "wrong", "the value of %r" % parts[1]
    ident, size = parts[2].decode("latin-1"), int(parts[3])
    if size > 1 << 31 or size < len(line) + 1:
        return "wrong", "a damaged first line: %r" % line
    expected = make_value(key, ident, size)
    if data == expected:
        return "good", ident
    if len(data) < size and expected.startswith(data):
        return "torn", "%d of %d bytes of %s" % (len(data), size, ident)
    differs = sum(a != b for a, b in zip(data, expected))
    first = next((i for i, (a, b) in enumerate(zip(data, expected)) if a != b), len(expected))
    text = "%s: %d of %d bytes, %d of them differ, first at %d" % (ident, len(data), size, differs,
                                                                  first)
    # Single bytes that differ are damage; half of another value, or zeros, are a mixture.
    return ("torn" if differs > 64 else "wrong"), text
