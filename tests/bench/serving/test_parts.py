"""Processes, environments, formats and records."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bench.serving.brief import COMMAND
from bench.serving.environments import Environments, NotBuilt
from bench.serving.formats import FORMATS
from bench.serving.model import simulated_rows
from bench.serving.processes import Cores, cpu_seconds, memory, on_cores, tree
from bench.serving.recording import make_command
from bench.serving.records import Figure, failed, of, write

NAMES = ["a", "b", "c"]
BUSY_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", '''
import time
while time.process_time() < 0.3: pass
print("done", flush=True)
input()
'''], stdin=subprocess.PIPE)
child.wait()
"""


def test_what_a_child_process_uses_counts_for_its_parent() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", BUSY_CHILD], stdout=subprocess.PIPE, start_new_session=True
    )
    assert parent.stdout is not None
    try:
        assert parent.stdout.readline() == b"done\n"
        below = tree(parent.pid)
        assert below[0] == parent.pid and len(below) == 2
        used, held = cpu_seconds(below), memory(below)
    finally:
        os.killpg(parent.pid, 9)
        parent.wait()
        parent.stdout.close()
    assert used[below[1]] >= 0.29
    assert 0 < held.proportional < held.resident and held.largest < held.resident


def test_a_process_that_has_ended_costs_nothing_more() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert cpu_seconds([ended.pid]) == {} and memory([ended.pid]).resident == 0


def test_servers_and_client_are_apart_where_there_are_two_cores() -> None:
    cores = Cores.split()
    usable = os.sched_getaffinity(0)
    assert cores.server | cores.client <= usable
    assert (cores.server & cores.client == set()) == (len(usable) > 1)
    with on_cores(cores.server):
        assert os.sched_getaffinity(0) == cores.server
    assert os.sched_getaffinity(0) == usable


def test_an_environment_that_cannot_be_built_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "uv"
    broken.write_text("#!/bin/sh\necho 'no such package' >&2\nexit 2\n")
    broken.chmod(0o755)
    environments = Environments(tmp_path / "environments", str(broken))
    with pytest.raises(NotBuilt, match="cannot be made: no such package"):
        environments.python_of("mlserver")


def test_an_environment_is_made_once_for_a_lock(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    uv = tmp_path / "uv"
    uv.write_text(
        f'#!/bin/sh\necho "$@" >> {calls}\n'
        'if [ "$1" = venv ]; then for last; do :; done; mkdir -p "$last/bin"; '
        'touch "$last/bin/python"; fi\n'
    )
    uv.chmod(0o755)
    environments = Environments(tmp_path / "environments", str(uv))
    first = environments.python_of("litserve")
    assert environments.python_of("litserve") == first
    made, synced = calls.read_text().splitlines()
    assert made.startswith("venv") and "environments/litserve.txt" in synced
    assert "--require-hashes" in synced


@pytest.mark.parametrize("name", ["csv", "ndjson", "arrow"])
def test_pieces_are_the_same_rows_again_and_again(name: str) -> None:
    rows_NF, one = simulated_rows(10_000, 3), FORMATS[name]
    assert one.pieces is not None
    assert b"".join(one.pieces(rows_NF, NAMES, len(rows_NF))) == one.whole(rows_NF, NAMES)
    long = b"".join(one.pieces(rows_NF, NAMES, 25_000))
    if name == "arrow":
        table = pa.ipc.open_stream(io.BytesIO(long)).read_all()
        read_NF = np.column_stack([column.to_numpy() for column in table.columns])
    else:
        text = io.BytesIO(long.replace(b"[", b"").replace(b"]", b""))
        read_NF = np.loadtxt(text, delimiter=",", skiprows=int(name == "csv"))
    again_NF = np.concatenate([rows_NF, rows_NF, rows_NF[:5000]])
    np.testing.assert_array_equal(read_NF, again_NF)


def test_new_figures_replace_those_of_their_measures_alone(tmp_path: Path) -> None:
    file = tmp_path / "out" / "serving.csv"
    write(file, [Figure("requests", "a", "cpu_us", 1.0, round=1), Figure("swap", "a", "p99_us", 2)])
    new = [Figure("requests", "a", "cpu_us", value, round=turn) for turn, value in [(1, 5), (2, 3)]]
    table = write(file, [*new, failed("requests", "b", ValueError("no\n  luck"))])
    assert of(table, "requests", "cpu_us") == {"a": 4.0}
    assert of(table, "requests", "cpu_us", "min") == {"a": 3.0}
    assert of(table, "swap", "p99_us") == {"a": 2.0}
    assert table[table["figure"] == "failed"]["note"].tolist() == ["no luck"]


def test_the_simulation_repeats_itself_and_seeds_differ() -> None:
    np.testing.assert_array_equal(simulated_rows(50, 4), simulated_rows(50, 4))
    assert not np.array_equal(simulated_rows(50, 4), simulated_rows(50, 4, 1))


@pytest.mark.parametrize(
    ("overrides", "command"),
    [
        (["out=/here", "work=/there", "measure=[swap]"], "make bench-serving"),
        (
            ["python=/mine/python", "peers=[]"],
            "make bench-serving OPTIONS=\"python=PYTHON 'peers=[]'\"",
        ),
    ],
)
def test_the_command_that_is_stated_is_one_for_a_shell(overrides: list[str], command: str) -> None:
    assert make_command(overrides, COMMAND) == command
