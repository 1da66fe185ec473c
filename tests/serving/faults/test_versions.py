"""Versions that come and go, good ones and bad ones, while requests go on: two workers, a follower
and an MLflow registry."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from mlflow import MlflowClient

from kizashi.registry import Registry
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.contract import Sensor
from tests.bundles import NORMAL_ROW, PRESS_LINE, press_line_bundle, press_line_rows
from tests.serving.services import Running, keep_alive, running, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
SECONDS = 60.0
JSON = {"Content-Type": "application/json"}
ROWS = press_line_rows(40, seed=9)
LONG = np.tile(ROWS, (50, 1))
OTHER = (Sensor("pressure", "bar"), Sensor("flow", "l/min"))
ALIKE = (*OTHER, Sensor("heat", "°C"))

Answers = list[tuple[str, list[int], list[float]]]
"""The version that answered, which rows, and their scores."""


def spoil(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def spoiled(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return spoiled


def replaced(folder: Path) -> None:
    """A whole and valid bundle, but not the one that was registered."""
    press_line_bundle(folder, seed=7)


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "3": (spoil("network.onnx", lambda body: body[: len(body) // 2]), "network.onnx"),
    "4": (spoil("arrays.npz", lambda body: body[:100]), "arrays.npz"),
    "5": (spoil("detector.json", lambda body: body.replace(b"0.01", b"0.99")), "detector.json"),
    "6": (spoil("manifest.json", lambda body: b"{"), "the registry says"),
    "7": (spoil("example.json", lambda body: b"\0" * len(body)), "example.json"),
    "8": (lambda folder: (folder / "network.onnx").unlink(), "network.onnx"),
    "9": (replaced, "the registry says"),
    "10": (shutil.rmtree, "has no files any more"),
}
"""Versions that were altered after they were registered, and what their refusal names."""
FEWER, SAME_COUNT = "11", "12"


class Store(NamedTuple):
    """A registry of versions, all of one model."""

    folder: Path
    registry: Registry
    bundles: dict[str, Bundle]

    def promote(self, version: str) -> None:
        self.registry.promote(self.registry.version(version))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("store")
    registry = Registry(f"sqlite:///{folder}/mlflow.db")
    client = MlflowClient(registry.uri, registry.uri)
    client.create_registered_model("kizashi")
    bundles = {}
    sensors = {FEWER: OTHER, SAME_COUNT: ALIKE}
    for version in ("1", "2", *BAD, FEWER, SAME_COUNT):
        named = sensors.get(version, PRESS_LINE)
        bundle = press_line_bundle(folder / version, seed=int(version), sensors=named)
        client.create_model_version(
            "kizashi", str(bundle.folder), tags={"bundle_hash": bundle.hash}
        )
        bundles[version] = bundle
        if version in BAD:
            BAD[version][0](folder / version)
    return Store(folder, registry, bundles)


@pytest.fixture(scope="module")
def service(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    store.promote("1")
    folder = tmp_path_factory.mktemp("service")
    with following(store, folder, workers=2) as started:
        wait_until(lambda: started.log.count("serving kizashi version 1,") == 2, SECONDS)
        yield started


@contextmanager
def following(store: Store, folder: Path, **settings: Any) -> Iterator[Running]:
    """A service that follows the registry."""
    more: dict[str, Any] = {"tracking_uri": store.registry.uri, "poll_seconds": 0.3} | settings
    with running(Path("models:/kizashi"), folder, **more) as started:
        yield started


def expected(store: Store) -> dict[str, list[float]]:
    """What each good version says of ROWS, worked out here."""
    return {
        version: [store.bundles[version].detector.verdict(row[None])[0] for row in ROWS]
        for version in ("1", "2")
    }


class Load:
    """Requests without a pause, single rows and batches, each client on one connection."""

    def __init__(self, service: Running) -> None:
        self.service = service
        self.answers: Answers = []
        self.failures: list[str] = []
        self._stop = threading.Event()

    def __enter__(self) -> "Load":
        kinds = [self._single, self._single, self._batch, self._lines]
        self._threads = [threading.Thread(target=self._run, args=(kind,)) for kind in kinds]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def wait_for_more(self, count: int = 60) -> None:
        """Until so many more are answered, or one is not."""
        enough = len(self.answers) + count
        wait_until(lambda: len(self.answers) > enough or bool(self.failures), SECONDS)

    def _run(self, kind: Callable[[HTTPConnection, int], None]) -> None:
        connection = keep_alive(self.service)
        for number in cycle(range(len(ROWS))):
            if self._stop.is_set():
                break
            try:
                kind(connection, number)
            except Exception as error:
                self.failures.append(repr(error))
                return
        connection.close()

    def _ask(self, connection: HTTPConnection, path: str, body: str, kind: str) -> tuple[str, str]:
        connection.request("POST", path, body, {"Content-Type": kind, "Accept": kind})
        answer = connection.getresponse()
        content = answer.read().decode()
        if answer.status != 200:
            raise ValueError(f"{answer.status}: {content}")
        return str(answer.headers["X-Model-Version"]), content

    def _single(self, connection: HTTPConnection, number: int) -> None:
        body = json.dumps({"values": ROWS[number].tolist(), "source": "press-01"})
        version, content = self._ask(connection, "/anomaly", body, JSON["Content-Type"])
        self.answers.append((version, [number], [json.loads(content)["score"]]))

    def _batch(self, connection: HTTPConnection, _: int) -> None:
        body = json.dumps({"instances": LONG.tolist()})
        version, content = self._ask(connection, "/anomaly/batch", body, JSON["Content-Type"])
        self._keep(version, json.loads(content)["scores"])

    def _lines(self, connection: HTTPConnection, _: int) -> None:
        body = "\n".join(json.dumps(row) for row in LONG.tolist())
        version, content = self._ask(connection, "/anomaly/batch", body, "application/x-ndjson")
        self._keep(version, [json.loads(line)["score"] for line in content.splitlines()])

    def _keep(self, version: str, scores: list[float]) -> None:
        self.answers.append((version, [at % len(ROWS) for at in range(len(LONG))], scores))


def test_promoted_rolled_back_and_promoted_again_every_answer_is_one_versions(
    store: Store, service: Running
) -> None:
    with Load(service) as load:
        for version in ("2", "1", "2", "1", "2", "1"):
            load.wait_for_more()
            promote_and_wait(store, service, version)
        load.wait_for_more()
    assert load.failures == []
    known = expected(store)
    assert {version for version, _, _ in load.answers} == {"1", "2"}
    for version, rows, scores in load.answers:
        wanted = [known[version][row] for row in rows]
        np.testing.assert_allclose(scores, wanted, rtol=1e-6)
    # No row has the same score in both, so each score tells which version it is of.
    apart = np.abs(np.subtract(known["1"], known["2"]) / known["1"])
    assert apart.min() > 1e-5


def promote_and_wait(store: Store, service: Running, version: str) -> None:
    """Promote, and wait for both workers to say that they serve it."""
    line = f"serving kizashi version {version},"
    before = service.log.count(line)
    store.promote(version)
    wait_until(lambda: service.log.count(line) >= before + 2, SECONDS)


@pytest.mark.parametrize("version", list(BAD))
def test_a_bad_version_is_refused_by_name_and_the_old_one_stays(
    store: Store, service: Running, version: str
) -> None:
    held = served(service)
    store.promote(version)
    try:
        refused = f"version {version} was refused"
        wait_until(lambda: any(note.startswith(refused) for note in notes(service)), SECONDS)
        (note,) = (note for note in notes(service) if note.startswith(refused))
        assert BAD[version][1] in note
        assert served(service) == held
        score = service.score(NORMAL_ROW)["score"]
        wanted = store.bundles[held].detector.verdict(np.array([NORMAL_ROW]))[0]
        assert score == pytest.approx(wanted, rel=1e-6)
    finally:
        store.promote(held)
        wait_until(lambda: notes(service) == [], SECONDS)


def ready(service: Running) -> dict[str, Any]:
    return dict(json.loads(service.get("/health/ready")[1]))


def notes(service: Running) -> list[str]:
    return list(ready(service)["notes"])


def served(service: Running) -> str:
    return str(ready(service)["model"]["version"])


@pytest.mark.parametrize(("version", "sensors"), [(FEWER, OTHER), (SAME_COUNT, ALIKE)])
def test_a_version_for_other_sensors_is_served_and_old_clients_are_told_which(
    store: Store, service: Running, version: str, sensors: tuple[Sensor, ...]
) -> None:
    old = dict(zip(("vibration", "current", "sound"), NORMAL_ROW, strict=True))
    assert asked(service, {"values": old, "source": "press-02"})[0] == 200
    promote_and_wait(store, service, version)
    try:
        status, told = asked(service, {"values": old, "source": "press-02"})
        assert status == 422
        named = {one["sensor"] for one in told["errors"]}
        assert {sensor.name for sensor in sensors} <= named
        for values in (NORMAL_ROW[:1], [*NORMAL_ROW, 1.0]):
            status, told = asked(service, {"values": values})
            assert (status, str(len(sensors)) in told["detail"]) == (422, True)
        new = {sensor.name: 1.0 for sensor in sensors}
        # The same source goes on under the new sensors: its history knows which row had which.
        assert asked(service, {"values": new, "source": "press-02"})[0] == 200
        wait_until(lambda: service.get("/api/series?source=press-02")[0] == 200)
    finally:
        promote_and_wait(store, service, "1")
    assert asked(service, {"values": old, "source": "press-02"})[0] == 200
    shown = json.loads(service.get("/api/series?source=press-02")[1])
    assert {one["name"] for one in shown["sensors"]} >= {*old, *new}


def asked(service: Running, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    connection = keep_alive(service)
    connection.request("POST", "/anomaly", json.dumps(body), JSON)
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content


def test_a_registry_that_goes_away_and_comes_back_is_noticed_and_nothing_is_lost(
    store: Store, service: Running
) -> None:
    database = store.folder / "mlflow.db"
    with Load(service) as load:
        away = database.rename(store.folder / "away.db")
        wait_until(lambda: ready(service)["registry"] == "unreachable", SECONDS)
        assert ready(service)["status"] == "ready"
        load.wait_for_more()
        away.rename(database)
        wait_until(lambda: ready(service)["registry"] == "reachable", SECONDS)
        promote_and_wait(store, service, "2")
    assert load.failures == []
    promote_and_wait(store, service, "1")


def test_without_registry_and_cache_every_protocol_says_so_until_there_is_one(
    store: Store, tmp_path: Path
) -> None:
    database = store.folder / "mlflow.db"
    away = database.rename(store.folder / "away.db")
    try:
        with following(store, tmp_path, ready=False) as service:
            wait_until(lambda: ready(service)["registry"] == "unreachable", SECONDS)
            assert service.get("/health/live")[0] == 200
            paths = {
                "/anomaly": "detail",
                "/anomaly/batch": "detail",
                "/v2/models/kizashi/infer": "error",
                "/invocations": "message",
                "/anomalydetector/v1.1/multivariate/models/x:detect-last": "message",
            }
            connection = keep_alive(service)
            for path, field in paths.items():
                connection.request("POST", path, "{}", JSON)
                answer = connection.getresponse()
                assert answer.status == 503
                assert answer.headers["Retry-After"]
                assert "no model is ready: " in json.loads(answer.read())[field]
            connection.close()
            away.rename(database)
            wait_until(lambda: service.get("/health/ready")[0] == 200, SECONDS)
            assert service.score(NORMAL_ROW)["status"] == "normal"
    finally:
        if away.exists():
            away.rename(database)
