"""One application for all bad inputs: what any of them breaks, the next one finds."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kizashi.runtime.bundle import Bundle
from serving.app import create_app
from serving.settings import Settings
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_bundle
from tests.filling import filling_bundle
from tests.serving.faults.asking import Asker, Sent, asking

SOURCE = "press-01"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return press_line_bundle(tmp_path_factory.mktemp("faults") / "press-line")


@pytest.fixture(scope="session")
def asker(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """A service without keys, with an alarm, and bodies of at most 64 KiB."""
    with _asked(bundle, tmp_path_factory.mktemp("asked")) as ready:
        for _ in range(4):
            body = b'{"values":%s,"source":"%s"}' % (str(ANOMALOUS_ROW).encode(), SOURCE.encode())
            sent = Sent("POST", "/anomaly", body, [(b"content-type", b"application/json")])
            assert ready.ask(sent).status == 200
        assert ready.app.state.history.writer.wait_until_written(60)
        yield ready


@pytest.fixture(scope="session")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """The same over a trained model of windows of two rows, which fills in what is missing."""
    folder = tmp_path_factory.mktemp("windowed")
    window = [NORMAL_ROW, NORMAL_ROW]
    with _asked(filling_bundle(folder / "press-line", window_length=2), folder, window) as ready:
        yield ready


def _asked(
    bundle: Bundle, folder: Path, good: object = NORMAL_ROW
) -> AbstractContextManager[Asker]:
    rules = folder / "rules.yaml"
    rules.write_text("default: {warm_up: {seconds: 0}}\n", encoding="utf-8")
    values = {
        "model_uri": str(bundle.folder),
        "cache": folder / "cache",
        "allow_anonymous": True,
        "alarm_rules": rules,
        "max_body_bytes": 65_536,
        "max_stream_bytes": 262_144,
        "anomaly_detector_model_id": "model-id",
    }
    return asking(create_app(Settings.model_validate(values)), good=good)
