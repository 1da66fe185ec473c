"""Workers that leave their counts for each other, some of them processes that are killed."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from serving.metrics import shared
from serving.metrics.counts import Distribution, Snapshot
from serving.metrics.families import ENDED, REQUESTS, WORKERS
from serving.metrics.shared import SUM, Shared, add, prepare

LABELS = ("kizashi", "/anomaly", "POST", "200")


def counted(requests: float) -> Snapshot:
    return Snapshot(
        {REQUESTS.name: [(LABELS, requests)]},
        {"kizashi_d": [Distribution(("/anomaly",), [1, 2], 0.5)]},
        {WORKERS.name: [((), 1.0)]},
    )


def everything(reader: Shared) -> float:
    living, ended = reader.read()
    for one in living:
        ended = add(ended, one)
    return dict(ended.counters[REQUESTS.name])[LABELS]


def test_counters_and_histograms_are_added_and_gauges_are_of_now() -> None:
    both = add(counted(2), counted(3))
    assert both.counters[REQUESTS.name] == [(LABELS, 5)]
    assert both.histograms["kizashi_d"] == [Distribution(("/anomaly",), [2, 4], 1.0)]
    assert both.gauges == {}


def test_each_worker_reads_what_all_have_counted(tmp_path: Path) -> None:
    first, second = Shared(tmp_path), Shared(tmp_path)
    first.write(counted(2))
    second.write(counted(3))
    assert everything(first) == everything(second) == 5
    first.write(counted(4))
    assert everything(second) == 7


def test_a_worker_that_ended_keeps_its_counts_and_says_nothing_of_now(tmp_path: Path) -> None:
    first, second = Shared(tmp_path), Shared(tmp_path)
    first.write(counted(2))
    second.write(counted(3))
    first.leave()
    for _ in range(3):  # adding it up more than once changes nothing
        living, ended = second.read()
        assert [one.gauges[WORKERS.name] for one in living] == [[((), 1.0)]]
        assert ended.counters[ENDED.name] == [((), 1.0)]
        assert everything(second) == 5
    assert not list(tmp_path.glob(f"{first.name}*"))


def test_what_a_worker_counts_while_it_ends_is_not_lost_to_who_reads_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, ends = Shared(tmp_path), Shared(tmp_path)
    ends.write(counted(2))

    def read(file: Path, kind: type[Any]) -> Any:
        found = decoded(file, kind)
        if file.name == f"{ends.name}.counts":
            ends.write(counted(5))
            ends.leave()
        return found

    decoded = shared._read
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(shared, "_read", read)
        reader.read()
    assert everything(reader) == 5


def test_a_killed_worker_is_as_one_that_ended(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from serving.metrics.shared import Shared; from serving.metrics.counts import Snapshot\n"
        f"counted = Snapshot({{'{REQUESTS.name}': [({LABELS!r}, 11.0)]}}, {{}}, {{}})\n"
        "Shared(Path(sys.argv[1])).write(counted); print('written', flush=True); time.sleep(60)\n"
    )
    reader = Shared(tmp_path)
    reader.write(counted(1))
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    ) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        assert len(reader.read()[0]) == 2
        assert everything(reader) == 12
        worker.kill()
    assert len(reader.read()[0]) == 1
    assert everything(reader) == 12


def test_ending_between_adding_up_and_deleting_counts_nothing_twice(tmp_path: Path) -> None:
    first, second = Shared(tmp_path), Shared(tmp_path)
    first.write(counted(2))
    second.write(counted(3))
    file, lock = tmp_path / f"{first.name}.counts", tmp_path / f"{first.name}.lock"
    kept = file.read_bytes()
    first.leave()
    assert everything(second) == 5
    file.write_bytes(kept)
    lock.touch()
    assert everything(second) == 5
    assert dict(second.read()[1].counters[ENDED.name]) == {(): 1.0}


@pytest.mark.parametrize("content", [b"", b"\xc1", b"[1, 2]"])
def test_a_file_that_cannot_be_read_counts_nothing(tmp_path: Path, content: bytes) -> None:
    shared = Shared(tmp_path)
    shared.write(counted(3))
    (tmp_path / SUM).write_bytes(content)
    (tmp_path / "1-damaged.counts").write_bytes(content)
    assert everything(shared) == 3


def test_preparing_removes_the_folders_of_services_that_ended_and_no_others(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from serving.metrics.shared import prepare\n"
        "print(prepare(Path(sys.argv[1])), flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    ) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        ours = prepare(tmp_path)
        assert theirs.is_dir()
        assert ours.is_dir()
        assert ours != theirs
    deadline = time.monotonic() + 60
    while theirs.exists() and time.monotonic() < deadline:
        prepare(tmp_path)
    assert not theirs.exists()
    assert ours.is_dir()
