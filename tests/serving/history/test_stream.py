"""What the stream of events tells beside alarms and rows."""

import json
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.bundles import press_line_bundle
from tests.serving.pages.service import application, decide, running


@pytest.mark.parametrize(("last", "first"), [("0.0", b"hello"), ("9.9", b"reset")])
def test_a_place_of_another_database_begins_with_a_reset(
    tmp_path: Path, last: str, first: bytes
) -> None:
    press_line_bundle(tmp_path / "bundle")
    with (
        running(application(tmp_path, tmp_path / "bundle")) as address,
        urlopen(f"{address}api/events?last={last}", timeout=60) as stream,
    ):
        event = next(line for line in stream if line.startswith(b"event: "))
    assert event == b"event: %s\n" % first


def test_a_decision_is_told_also_where_the_threshold_stays_as_it_is(tmp_path: Path) -> None:
    """The next version ends a threshold a moment after it took over."""
    folder = tmp_path / "bundle"
    first = press_line_bundle(folder)
    with running(application(tmp_path, folder)) as address:
        decide(address, first.hash, 55.0)
        with urlopen(f"{address}api/events", timeout=60) as stream:
            lines = iter(stream)
            newer = press_line_bundle(folder, seed=1)
            for line in lines:
                if line == b"event: threshold\n":
                    told = json.loads(next(lines).removeprefix(b"data: "))
                    if (told["bundle"], told["decision"]) == (newer.hash, 2):
                        break
    assert told["override"] is None
