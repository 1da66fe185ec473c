"""Who comes back to the events with the place of another database is to read everything anew."""

from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.bundles import press_line_bundle
from tests.serving.pages.service import application, running


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
