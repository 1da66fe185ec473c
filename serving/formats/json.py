"""JSON: `{"instances": [[…], …]}` in, `{"scores": […], "statuses": […]}` out.

It is one value from its first byte to its last, so it is kept whole and has the smaller limit. It
is still read in small steps, since a thread that reads JSON stops all others meanwhile.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from kizashi.errors import InvalidRow, Problem
from kizashi.runtime.contract import DataContract
from serving.errors import invalid
from serving.formats.json_rows import read_lines
from serving.formats.rows import BLOCK_BYTES, FloatArray, checked
from serving.formats.writing import score_texts
from serving.http.requests import careful_decoder, json_problems, parse_json
from serving.http.spool import Spool
from serving.verdicts.scoring import Judged

START = r'[ \t\n\r]*\{[ \t\n\r]*"instances"[ \t\n\r]*:[ \t\n\r]*\[[ \t\n\r]*'
COMMA = r"[ \t\n\r]*,[ \t\n\r]*"
END = r"[ \t\n\r]*\][ \t\n\r]*\}[ \t\n\r]*"
START_BYTES, END_BYTES = re.compile(START.encode()), re.compile(END.encode())
START_TEXT, COMMA_TEXT, END_TEXT = re.compile(START), re.compile(COMMA), re.compile(END)
BETWEEN_ROWS = re.compile(rf"(?:\]{COMMA}\[|\}}{COMMA}\{{)".encode())
ROWS_AT_ONCE = 4096


class JsonReader:
    """Keeps the body, and reads it when all of it is there."""

    def __init__(self, contract: DataContract, charset: str) -> None:
        self._contract = contract
        self._body = bytearray()

    def feed(self, block: bytes) -> Iterator[FloatArray]:
        self._body += block
        return iter(())

    def finish(self) -> Iterator[FloatArray]:
        body = bytes(self._body)
        self._body.clear()
        try:
            pieces = list(_plain(body, self._contract))
        except ValueError:
            pieces = _careful(body, self._contract)
        yield from pieces

    def close(self) -> None: ...


def _plain(body: bytes, contract: DataContract) -> Iterator[FloatArray]:
    """Rows that are all written in one and the same way; raises ValueError when anything needs a
    closer look."""
    start = START_BYTES.match(body)
    closing = body.rfind(b"]")
    if start is None or END_BYTES.fullmatch(body, closing) is None:
        raise ValueError("another beginning or end")
    rows = body[start.end() : closing].rstrip(b" \t\r\n")
    end = b"]" if rows.startswith(b"[") else b"}"
    between = BETWEEN_ROWS.match(rows, rows.find(end))
    if between is not None:
        if b"\n" in rows.replace(between[0], b""):
            raise ValueError("rows of several lines")
        rows = rows.replace(between[0], end + b"\n" + between[0][-1:])
    at = 0
    while at < len(rows):
        cut = rows.find(b"\n", at + BLOCK_BYTES)
        cut = len(rows) if cut < 0 else cut
        yield read_lines(rows[at:cut], contract)
        at = cut + 1


def _careful(body: bytes, contract: DataContract) -> list[FloatArray]:
    """Rows one by one, as lists or objects keyed by sensor name; raises MalformedBody, or
    InvalidRow with what is wrong in which row."""
    instances, pieces, number = _instances(body), [], 0
    while piece := list(islice(instances, ROWS_AT_ONCE)):
        pieces.append(checked(piece, contract, number))
        number += len(piece)
    return pieces


def _instances(body: bytes) -> Iterator[Any]:
    """The rows, read one at a time so that other threads get their turn; a body that has anything
    else in it is read at once, to say what is wrong."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    start = START_TEXT.match(text)
    if start is None:
        yield from _whole(body)
        return
    read, at = careful_decoder().raw_decode, start.end()
    comma = None if text[at : at + 1] == "]" else start
    while comma is not None:
        with json_problems():
            row, at = read(text, comma.end())
        yield row
        comma = COMMA_TEXT.match(text, at)
    if END_TEXT.fullmatch(text, at) is None:
        _whole(body)


def _whole(body: bytes) -> list[Any]:
    content = parse_json(body)
    if not isinstance(content, dict):
        raise invalid('the body is not an object; {"instances": [[...], ...]} is needed')
    unknown = [name for name in content if name != "instances"]
    problems = [Problem(f"{name[:60]!r} is unknown; instances is known") for name in unknown]
    if "instances" not in content:
        problems.append(Problem("'instances' is missing; a list of rows is needed"))
    if problems:
        raise InvalidRow(problems)
    instances = content["instances"]
    if not isinstance(instances, list):
        raise invalid(f"instances is {str(instances)[:60]}; a list of rows is needed")
    return instances


class JsonWriter:
    """Two lists; the statuses wait in a spool of their own until the scores are all written."""

    WORDS = b'"normal"', b'"anomaly"', b"null"

    def __init__(self, spool: Spool) -> None:
        self._spool, self._statuses = spool, Spool()
        self._comma = b""
        spool.write(b'{"scores":[')

    def write(self, judged: Judged) -> None:
        if not len(judged.score_N):
            return
        words = np.where(np.isnan(judged.score_N), 2, judged.anomaly_N).tolist()
        self._spool.write(self._comma + b",".join(score_texts(judged)))
        self._statuses.write(self._comma + b",".join(map(self.WORDS.__getitem__, words)))
        self._comma = b","

    def finish(self) -> None:
        self._spool.write(b'],"statuses":[')
        for piece in self._statuses.pieces():
            self._spool.write(piece)
        self._spool.write(b"]}")

    def close(self) -> None:
        self._statuses.close()
