"""Who reads the events is told of the threshold in force, by whichever worker it meets."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPResponse
from typing import Any
from urllib.request import Request, urlopen

import pytest

from kizashi.runtime.bundle import Bundle
from tests.bundles import press_line_bundle
from tests.serving.pages.service import decide
from tests.serving.services import Running, running

READERS = 8
"""So many connections that both workers have some."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return press_line_bundle(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("two")
    with running(bundle.folder, folder, workers=2, poll_seconds=0.2) as found:
        yield found


def told(stream: HTTPResponse) -> dict[str, Any]:
    """The next that the stream tells of the threshold; it waits for no longer than its timeout."""
    for line in stream:
        if line == b"event: threshold\n":
            return dict(json.loads(stream.readline().removeprefix(b"data: ")))
    raise AssertionError("the stream ended")


def test_every_reader_is_told_at_first_and_at_each_change_by_either_worker(
    service: Running, bundle: Bundle
) -> None:
    place = f"http://127.0.0.1:{service.port}/"
    with ExitStack() as stack:
        streams = [
            stack.enter_context(urlopen(f"{place}api/events", timeout=180)) for _ in range(READERS)
        ]
        calibrated = bundle.detector.threshold.value
        for stream in streams:
            first = told(stream)
            assert (first["value"], first["override"]) == (calibrated, None)
            assert first["bundle"] == bundle.hash
        decide(place, bundle.hash, 1234.5)
        for stream in streams:
            by_hand = told(stream)
            assert (by_hand["value"], by_hand["calibrated"]) == (1234.5, calibrated)
            assert by_hand["override"]["why"] == "too loud"
        decide(place, bundle.hash, None)
        for stream in streams:
            assert told(stream)["override"] is None


def test_who_comes_back_is_told_what_changed_meanwhile(service: Running, bundle: Bundle) -> None:
    place = f"http://127.0.0.1:{service.port}/"
    with urlopen(f"{place}api/events", timeout=180) as stream:
        while told(stream)["override"] is not None:  # what was undone before
            pass
    decide(place, bundle.hash, 77.0)
    with urlopen(
        Request(f"{place}api/events", headers={"Last-Event-ID": "0.0"}), timeout=180
    ) as stream:
        found = told(stream)
        while found["value"] != 77.0:  # a worker may take a second to follow
            found = told(stream)
    decide(place, bundle.hash, None)
