"""The service as it runs: two workers, a follower and an MLflow registry in SQLite."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mlflow import MlflowClient

from bench.ports import reserved
from kizashi.registry import Registry
from serving.following.cache import Cache
from serving.settings import Settings
from tests.bundles import NORMAL_ROW, press_line_bundle

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated",  # MLflow's own queries
)
PROMISED_SECONDS = 10.0
START_SECONDS = 180.0
SERVES = "serving kizashi version {}"
"""What each worker logs."""


class Store(NamedTuple):
    """A registry with three versions; the bundle of the third was altered afterwards."""

    folder: Path
    registry: Registry

    @property
    def uri(self) -> str:
        return self.registry.uri

    def promote(self, version: str) -> None:
        self.registry.promote(self.registry.version(version))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("store")
    registry = Registry(f"sqlite:///{folder}/mlflow.db")
    client = MlflowClient(registry.uri, registry.uri)
    client.create_registered_model("kizashi")
    for seed in range(3):
        bundle = press_line_bundle(folder / f"bundle-{seed}", seed=seed)
        client.create_model_version(
            "kizashi", str(bundle.folder), tags={"bundle_hash": bundle.hash}
        )
    with (folder / "bundle-2" / "network.onnx").open("ab") as file:
        file.write(b" ")
    return Store(folder, registry)


class Process(NamedTuple):
    """A running process, as Linux shows it."""

    pid: int
    parent: int
    arguments: str


def processes() -> list[Process]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            arguments = (folder / "cmdline").read_text().replace("\0", " ")
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            if stat[0] != "Z":
                found.append(Process(int(folder.name), int(stat[1]), arguments))
    return found


class Service(NamedTuple):
    """A running service."""

    address: str
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def ready(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"{self.address}/health/ready", timeout=30) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as refusal:
            with refusal:
                return dict(json.load(refusal))
        except OSError:
            return {"status": "not started", "registry": "unknown", "notes": []}

    def score(self) -> str:
        """Score a row over a connection of its own; the version that answered."""
        request = urllib.request.Request(
            f"{self.address}/anomaly",
            json.dumps({"values": NORMAL_ROW}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert set(json.load(answer)) == {"score", "status"}
            return str(answer.headers["X-Model-Version"])

    def family(self) -> list[Process]:
        """Every process that this one started, and those that they did."""
        found, parents = [], {self.process.pid}
        everyone = processes()
        while born := [one for one in everyone if one.parent in parents]:
            found += born
            parents = {one.pid for one in born}
        return found

    def followers(self) -> list[Process]:
        return [one for one in self.family() if "serving.following.follower" in one.arguments]


@pytest.fixture(scope="module")
def running(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two workers that began with version 1."""
    store.promote("1")
    with service(tmp_path_factory.mktemp("service") / "cache", store) as started:
        wait_until(lambda: started.ready()["status"] == "ready", START_SECONDS, started)
        # Each worker answers for itself: that one is ready says nothing of the other.
        wait_until(lambda: started.log.count(SERVES.format("1")) == 2, START_SECONDS, started)
        yield started


@contextmanager
def service(cache: Path, store: Store, workers: int = 2) -> Iterator[Service]:
    with reserved() as port, _started(cache, store, workers, port) as running:
        yield running


@contextmanager
def _started(cache: Path, store: Store, workers: int, port: int) -> Iterator[Service]:
    settings = {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "KIZASHI_PORT": str(port),
        "KIZASHI_WORKERS": str(workers),
        "KIZASHI_CACHE": str(cache),
        "KIZASHI_POLL_SECONDS": "2",
        "MLFLOW_TRACKING_URI": store.uri,
    }
    log_file = cache.with_suffix(".log")
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving"],
            env=os.environ | settings,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    running = Service(f"http://127.0.0.1:{port}", process, log_file)
    try:
        yield running
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, running.log
        assert "Traceback" not in running.log
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until(true: Callable[[], bool], seconds: float, running: Service) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s:\n{running.log}"
        time.sleep(0.05)


@contextmanager
def traffic(running: Service) -> Iterator[list[str]]:
    """Requests without a pause from two threads; any that is lost fails the test."""
    answered: list[str] = []
    lost: list[Exception] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            try:
                answered.append(running.score())
            except (OSError, AssertionError) as error:
                lost.append(error)

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert lost == []


def test_promotions_reach_every_worker_and_nothing_is_lost(store: Store, running: Service) -> None:
    assert running.score() == "1"
    assert running.ready()["registry"] == "reachable"
    with traffic(running) as answered:
        promote_and_wait(store, running, answered, "2")
        promote_and_wait(store, running, answered, "1")  # the way back


def promote_and_wait(store: Store, running: Service, answered: list[str], version: str) -> None:
    """Promote, and see both workers load the version and nothing else answer from then on."""
    line = SERVES.format(version)
    loaded = running.log.count(line)
    store.promote(version)
    wait_until(lambda: running.log.count(line) == loaded + 2, PROMISED_SECONDS, running)
    seen = len(answered) + 4  # what is on its way
    wait_until(lambda: len(answered) > seen + 20, START_SECONDS, running)
    assert set(answered[seen:]) == {version}


def test_an_altered_version_is_refused_and_the_old_one_stays(
    store: Store, running: Service
) -> None:
    before = running.score()
    store.promote("3")
    wait_until(lambda: bool(running.ready()["notes"]), PROMISED_SECONDS, running)
    assert "version 3 was refused" in running.ready()["notes"][0]
    assert "network.onnx is not the file that was saved" in running.ready()["notes"][0]
    assert running.log.count("REFUSED version 3") == 1
    assert running.score() == before
    store.promote(before)
    wait_until(lambda: running.ready()["notes"] == [], PROMISED_SECONDS, running)


def test_another_worker_starts_a_follower_when_the_one_that_had_it_dies(running: Service) -> None:
    first = running.followers()
    assert len(first) == 1
    os.kill(first[0].parent, signal.SIGKILL)
    wait_until(
        lambda: len(running.followers()) == 1 and running.followers() != first,
        START_SECONDS,
        running,
    )


def test_without_its_registry_it_serves_what_it_has_and_recovers_by_itself(
    store: Store, tmp_path: Path
) -> None:
    store.promote("1")
    folder = tmp_path / "cache"
    Cache(folder, Settings(tracking_uri=store.uri).key).adopt(
        store.folder / "bundle-0", name="kizashi", version="1", source="before", tags={}
    )
    database = store.folder / "mlflow.db"
    hidden = database.rename(store.folder / "away.db")
    with service(folder, store, workers=1) as running:
        wait_until(lambda: running.ready()["registry"] == "unreachable", START_SECONDS, running)
        assert running.ready()["status"] == "ready"
        assert any("last good bundle is served" in note for note in running.ready()["notes"])
        assert running.score() == "1"
        hidden.rename(database)
        wait_until(lambda: running.ready()["registry"] == "reachable", START_SECONDS, running)
        assert running.ready()["notes"] == []
        family = {one.pid for one in running.family()}
    assert len(family) >= 1
    wait_until(lambda: family.isdisjoint(one.pid for one in processes()), START_SECONDS, running)
