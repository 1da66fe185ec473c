"""A command whose output nobody reads to its end, as with `| head`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kizashi.terminal import quiet_when_unread

COMMANDS = [
    ["pipelines.simulate", "--help"],
    ["serving", "--help"],
    ["serving.attendant", "--help"],
    ["serving.following.follower", "--help"],
    ["serving.keys", "--help"],
    ["serving.keys", "create", "--name", "press-01", "--scope", "score"],
]
LONG = "print('row\\n' * 100_000)"
"""More than what waits in the process until its end."""


def unread(folder: Path, *arguments: str, unbuffered: str = "") -> tuple[int, str]:
    """Status and stderr of Python whose standard output has no reader from the start."""
    settings = {"KIZASHI_CACHE": str(folder), "PYTHONUNBUFFERED": unbuffered}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, *arguments],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | settings,
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_that_nobody_reads_ends_with_a_status_and_without_a_traceback(
    tmp_path: Path, command: list[str]
) -> None:
    status, said = unread(tmp_path, "-m", *command)
    assert status == 1
    assert "BrokenPipe" not in said and "Traceback" not in said


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("written", [LONG, "print('row')", "print('row'); raise SystemExit(0)"])
def test_it_ends_alike_in_the_midst_of_its_output_and_at_its_end(
    tmp_path: Path, written: str, unbuffered: str
) -> None:
    code = f"from kizashi.terminal import quiet_when_unread\nwith quiet_when_unread(): {written}"
    assert unread(tmp_path, "-c", code, unbuffered=unbuffered) == (1, "")


def test_what_breaks_off_elsewhere_is_still_an_error() -> None:
    with pytest.raises(BrokenPipeError), quiet_when_unread():
        raise BrokenPipeError("the registry hung up")


def test_a_command_that_is_read_keeps_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    @quiet_when_unread()
    def command() -> None:
        print("a row")
        raise SystemExit(3)

    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == 3
    assert capsys.readouterr().out == "a row\n"
