"""Rows as JSON writes them, one a line, many at once.

What a program writes is regular: every row has the same form, and between numbers there is always
the same text. So the text is compared with that form as a whole, and everything but the numbers is
taken out of it, which leaves one long list for the decoder. It is several times faster than to
build each row. ValueError says that a text is not so regular and needs a closer look; nothing here
ever says that it is wrong.
"""

import numpy as np

from kizashi.runtime.contract import DataContract
from serving.formats.rows import FloatArray, everything_but, flat

NO_LIST_MARK = everything_but(b'[]{},"\n')
NO_OBJECT_MARK = everything_but(b"[]{},:\n")


def read_lines(lines: bytes, contract: DataContract) -> FloatArray:
    """Lines, of which the last has no line feed, as rows of shape (N, F): all of them lists of
    numbers, or all of them objects keyed by sensor name."""
    if lines.startswith(b"["):
        return _lists(lines, contract)
    if lines.startswith(b"{"):
        return _objects(lines, contract)
    raise ValueError("neither a list nor an object")


def _lists(lines: bytes, contract: DataContract) -> FloatArray:
    width, count = len(contract.sensors), lines.count(b"\n") + 1
    form = b"[" + b"," * (width - 1) + b"]\n"
    # Each mark has its neighbour: nothing stands between two lists, or beside the first and last.
    if (
        (lines + b"\n").translate(None, NO_LIST_MARK) != form * count
        or lines.count(b"]\n[") != count - 1
        or not lines.endswith(b"]")
    ):
        raise ValueError("rows of another form")
    numbers = lines[1:-1].replace(b"]\n[", b",")
    return flat(numbers, contract.most_missing > 0).reshape(count, width)


def _objects(lines: bytes, contract: DataContract) -> FloatArray:
    width, count = len(contract.sensors), lines.count(b"\n") + 1
    parts = (lines + b"\n").split(b'"')
    names = parts[1 : 2 * width : 2]
    order = [name.decode() for name in names]
    if parts[1::2] != names * count or sorted(order) != sorted(contract.names):
        raise ValueError("names in another order, or other names")
    comma = b', "' if parts[2].endswith(b" ") else b',"'
    rest = b"".join(parts[::2])
    form = b"{" + b",".join([b":"] * width) + b"}\n"
    # As above: a name stands between a brace or comma and its colon, and a brace beside a line's
    # end. What is between marks is then a number, or the decoder refuses it.
    if (
        rest.translate(None, NO_OBJECT_MARK) != form * count
        or lines.count(b'{"') != count
        or lines.count(comma) != count * (width - 1)
        or lines.count(b'":') != count * width
        or lines.count(b"}\n{") != count - 1
        or not lines.endswith(b"}")
    ):
        raise ValueError("rows of another form")
    numbers = rest[1:-2].replace(b"}\n{", b",").replace(b":", b" ")
    rows_NF = flat(numbers, contract.most_missing > 0).reshape(count, width)
    column = {name: index for index, name in enumerate(order)}
    return np.asarray(rows_NF[:, [column[name] for name in contract.names]])
