"""How the writer groups what it commits."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from pathlib import Path

import numpy as np
import pytest

from serving.alarms.rules import Rules
from serving.errors import HistoryUnavailable
from serving.following.detectors import Served
from serving.history import writer as writing
from serving.history.database import Database
from serving.history.record import Batch, Record, Row
from serving.history.store import Store
from serving.history.writer import COMPANY, ENOUGH, MOST_WAITING_BATCH_ROWS, Writer
from serving.verdicts.scoring import Origin
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW
from tests.serving.services import wait_until


@pytest.fixture
def groups() -> list[int]:
    """How many records were in each commit."""
    return []


@pytest.fixture
def writer(
    tmp_path: Path,
    open_database: Callable[[str], Database],
    rules: Rules,
    groups: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> Writer:
    store = Store(open_database(f"sqlite:///{tmp_path}/history.db"), rules)
    real = store.write

    def write(records: Sequence[Record]) -> None:
        groups.append(len(records))
        real(records)

    monkeypatch.setattr(store, "write", write)
    return Writer(lambda: store)


def batch(served: Served, rows: int) -> Batch:
    rows_NF = np.tile(NORMAL_ROW, (rows, 1))
    score_N, anomaly_N = np.full(rows, 0.1), np.zeros(rows, dtype=np.bool_)
    nothing = np.empty(0, dtype=np.intp)
    origin = Origin("anomaly", "request-2", "press-01")
    windows_BTF = rows_NF[:0, None]
    return Batch(served, origin, time.time(), rows_NF, score_N, anomaly_N, nothing, windows_BTF)


def row(served: Served, values: list[float], kept: Future[None] | None = None) -> Row:
    origin = Origin("anomaly", "request-1", "press-01")
    window_TF = None if kept is None else np.array([values])
    told_F = np.array(values)
    return Row(served, origin, time.time(), told_F, 0.1, kept is not None, window_TF, None, kept)


def test_an_anomaly_that_comes_with_few_others_is_committed_at_once(
    writer: Writer, served: Served, groups: list[int]
) -> None:
    for _ in range(5):
        kept: Future[None] = Future()
        writer.put_anomaly(row(served, ANOMALOUS_ROW, kept))
        kept.result(180)
    writer.close()
    assert groups == [1, 1, 1, 1, 1]


def test_anomalies_in_a_dense_stream_of_rows_share_commits(
    writer: Writer, served: Served, groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "APART_SECONDS", 1.0)  # many times what an anomaly takes below
    promises: list[Future[None]] = []
    for _ in range(40):
        for _ in range(COMPANY):
            writer.put(row(served, NORMAL_ROW))
        promises.append(Future())
        writer.put_anomaly(row(served, ANOMALOUS_ROW, promises[-1]))
        time.sleep(0.006)  # longer than a commit takes
    wait(promises, 180)
    writer.close()
    assert all(kept.exception() is None for kept in promises)
    assert sum(groups) == 40 * (COMPANY + 1)
    assert len(groups) < 20


def test_normal_rows_wait_for_each_other_until_there_are_enough(
    writer: Writer, served: Served, groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "LAG_SECONDS", 60.0)
    for _ in range(ENOUGH - 1):
        writer.put(row(served, NORMAL_ROW))
    time.sleep(0.2)
    assert groups == []
    writer.put(row(served, NORMAL_ROW))
    wait_until(lambda: groups == [ENOUGH])
    writer.close()


def test_rows_that_wait_for_a_store_that_is_down_do_not_hurry_it(
    writer: Writer, served: Served, groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(records: Sequence[Record]) -> None:
        groups.append(len(records))
        raise HistoryUnavailable("the disk is full")

    monkeypatch.setattr(writing, "RETRY_SECONDS", 180.0)  # however long the rows below take
    monkeypatch.setattr(writer.open_store(), "write", fail)
    for _ in range(2 * ENOUGH):
        writer.put(row(served, NORMAL_ROW))
    wait_until(lambda: writer.problem is not None)
    for _ in range(200):
        writer.put(row(served, NORMAL_ROW))
        time.sleep(0.001)
    assert len(groups) <= 2
    monkeypatch.undo()
    writer.close()


def test_single_rows_beyond_what_may_wait_are_counted_and_an_anomaly_is_still_taken(
    writer: Writer, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST_WAITING", 10)
    monkeypatch.setattr(writer, "start", lambda: None)
    for _ in range(15):
        writer.put(row(served, NORMAL_ROW))
    assert (writer.depth, writer.dropped) == (10, 5)
    kept: Future[None] = Future()
    writer.put_anomaly(row(served, ANOMALOUS_ROW, kept))
    monkeypatch.undo()
    writer.start()
    kept.result(180)
    writer.close()
    assert (writer.written, writer.dropped) == (11, 5)


def test_a_thread_with_a_batch_waits_for_room_and_nothing_is_lost(
    writer: Writer, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ROOM_SECONDS", "CLOSE_SECONDS"):
        monkeypatch.setattr(writing, name, 180.0)
    piece, most = 50_000, 0
    for _ in range(12):
        writer.put(batch(served, piece))
        most = max(most, writer._batch_rows)
    writer.close()
    assert most <= MOST_WAITING_BATCH_ROWS + piece
    assert (writer.written, writer.dropped) == (12 * piece, 0)


def test_an_event_loop_does_not_wait_for_room(
    writer: Writer, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LAG_SECONDS", "CLOSE_SECONDS"):  # nothing is written before the end, then all
        monkeypatch.setattr(writing, name, 180.0)

    async def put_many() -> None:
        for _ in range(12):
            writer.put(batch(served, 50_000))

    asyncio.run(put_many())
    assert writer.dropped > 0
    writer.close()
    assert writer.written + writer.dropped == 12 * 50_000


@pytest.mark.parametrize("waiting", [0, writing.MOST_WAITING])
def test_a_batch_that_is_dropped_leaves_its_room_to_others(
    writer: Writer, served: Served, monkeypatch: pytest.MonkeyPatch, waiting: int
) -> None:
    """Because no database takes it, or because too much waits by the time that it failed."""

    def fail(records: Sequence[Record]) -> None:
        monkeypatch.setattr(writing, "MOST_WAITING", 0)
        raise HistoryUnavailable("the disk is full") if waiting else ValueError("its values")

    monkeypatch.setattr(writer.open_store(), "write", fail)
    writer.put(batch(served, 1000))
    wait_until(lambda: writer.dropped == 1000)
    assert writer._batch_rows == 0
    writer.close()
