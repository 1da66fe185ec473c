"""One application for all bad inputs: what any of them breaks, the next one finds."""

from collections.abc import Iterator

import pytest

from kizashi.runtime.bundle import Bundle
from serving.app import create_app
from serving.settings import Settings
from tests.bundles import ANOMALOUS_ROW, press_line_bundle
from tests.serving.faults.asking import Asker, Sent, asking, told

SOURCE = "press-01"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return press_line_bundle(tmp_path_factory.mktemp("faults") / "press-line")


@pytest.fixture(scope="session")
def asker(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """A service without keys, with an alarm, and bodies of at most 64 KiB."""
    folder = tmp_path_factory.mktemp("asked")
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
    with asking(create_app(Settings.model_validate(values))) as ready:
        for _ in range(4):
            body = b'{"values":%s,"source":"%s"}' % (
                str(ANOMALOUS_ROW).encode(),
                SOURCE.encode(),
            )
            sent = Sent("POST", "/anomaly", body, [(b"content-type", b"application/json")])
            assert ready.ask(sent).status == 200
        ready.app.state.history.writer.wait_until_written()
        yield ready


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in told():
        terminalreporter.write_line(line)
