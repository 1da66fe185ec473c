"""NDJSON: one row a line, as a list, an object keyed by sensor name, or as `POST /anomaly` takes
it: `{"values": …}`, and with it a source and a timestamp. Blank lines are no rows."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from kizashi.errors import InvalidRow
from kizashi.runtime.contract import DataContract
from serving.errors import MalformedBody
from serving.formats.json_rows import read_lines
from serving.formats.rows import FloatArray, checked, require_an_end
from serving.formats.writing import LineWriter
from serving.http.requests import parse_json
from serving.verdicts.score import read_request

VALUES = b'{"values":[', b'{"values": ['
BOM = b"\xef\xbb\xbf"


class NdjsonReader:
    """Reads lines as soon as they are whole."""

    def __init__(self, contract: DataContract, charset: str) -> None:
        self._contract = contract
        self._left = b""
        self._rows = 0
        self._begun = False

    def feed(self, block: bytes) -> Iterator[FloatArray]:
        body = self._left + block
        end = body.rfind(b"\n") + 1
        self._left = body[end:]
        yield from self._read(body[:end])
        require_an_end(self._left, self._rows)

    def finish(self) -> Iterator[FloatArray]:
        yield from self._read(self._left)

    def close(self) -> None: ...

    def _read(self, lines: bytes) -> Iterator[FloatArray]:
        if lines and not self._begun:
            self._begun, lines = True, lines.removeprefix(BOM)
        lines = lines.replace(b"\r\n", b"\n").strip(b" \t\r\n")
        if not lines:
            return
        try:
            rows_NF = read_lines(self._values(lines), self._contract)
        except ValueError:
            rows_NF = self._careful(lines)
        self._rows += len(rows_NF)
        yield rows_NF

    def _values(self, lines: bytes) -> bytes:
        """The lists in lines of `{"values": […]}`, and other lines as they are."""
        start = lines[: lines.find(b"[") + 1]
        if "values" in self._contract.names or start not in VALUES:
            return lines
        count = lines.count(b"\n") + 1
        for mark, times in ((start, 1), (b"{", 1), (b"}", 1), (b"]}", 1), (b'"', 2)):
            if lines.count(mark) != times * count:
                raise ValueError("rows of another form")
        return lines.replace(start, b"[").replace(b"]}", b"]")

    def _careful(self, lines: bytes) -> FloatArray:
        rows: list[Any] = []
        for line in lines.split(b"\n"):
            if line.strip(b" \t\r"):
                rows.append(self._row(line, self._rows + len(rows)))
        return checked(rows, self._contract, self._rows)

    def _row(self, line: bytes, number: int) -> Any:
        try:
            content = parse_json(line)
            keyed = isinstance(content, dict) and "values" not in self._contract.names
            return read_request(line).values if keyed and "values" in content else content
        except MalformedBody as error:
            raise MalformedBody(f"row {number}: {error}") from error
        except InvalidRow as error:
            problems = [
                replace(one, detail=f"row {number}: {one.detail}", row=number)
                for one in error.problems
            ]
            raise InvalidRow(problems) from error


class NdjsonWriter(LineWriter):
    """One object a row; null where a row has no verdict."""

    BEFORE = b'{"score":'
    NORMAL, ANOMALY = b',"status":"normal"}\n', b',"status":"anomaly"}\n'
    NOTHING = b'{"score":null,"status":null}\n'
