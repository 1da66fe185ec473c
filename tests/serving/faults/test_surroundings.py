"""What goes wrong around the service: processes that are killed, disks that are full."""

import json
import os
import resource
import signal
import threading
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

from kizashi.runtime.bundle import Bundle
from tests.bundles import NORMAL_ROW, press_line_bundle
from tests.linux import open_files
from tests.serving.services import Running, keep_alive, running, wait_until

BODY = json.dumps({"values": NORMAL_ROW})
JSON = {"Content-Type": "application/json"}
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def score(connection: HTTPConnection) -> float:
    connection.request("POST", "/anomaly", BODY, JSON)
    answer = connection.getresponse()
    content = json.loads(answer.read())
    assert answer.status == 200, content
    return float(content["score"])


def worker_of(connection: HTTPConnection, service: Running) -> int:
    """The worker that holds the other end of a connection, as Linux shows it."""
    here = connection.sock.getsockname()[1]
    ends = (f":{service.port:04X}", f":{here:04X}")
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = (row[9] for row in rows if (row[1][8:], row[2][8:]) == ends)
    for pid in service.workers():
        if f"socket:[{inode}]" in open_files(pid):
            return pid
    raise AssertionError("no worker holds it")


def test_a_killed_worker_takes_no_connection_of_the_others_along(
    bundle: Bundle, tmp_path: Path
) -> None:
    with running(bundle.folder, tmp_path, workers=2) as service, ExitStack() as closed:
        connections: dict[int, list[HTTPConnection]] = {pid: [] for pid in service.workers()}
        for _ in range(200):
            connection = closed.enter_context(closing(keep_alive(service)))
            score(connection)
            connections[worker_of(connection, service)].append(connection)
            if all(len(held) >= 2 for held in connections.values()):
                break
        victim, survivor = connections
        wanted = score(connections[survivor][0])
        failures: list[str] = []
        answered = 0
        stop = threading.Event()

        def ask(connection: HTTPConnection) -> None:
            nonlocal answered
            while not stop.is_set():
                try:
                    assert score(connection) == wanted
                    answered += 1
                except (OSError, AssertionError) as error:
                    failures.append(repr(error))
                    return

        threads = [threading.Thread(target=ask, args=(one,)) for one in connections[survivor]]
        for thread in threads:
            thread.start()
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(set(service.workers()) - {victim}) == 2, 60)
        at_replacement = answered
        wait_until(lambda: answered > at_replacement + 20 or bool(failures))
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []


def held(service: Running) -> str:
    """The bundle that a service is ready with."""
    status, body = service.get("/health/ready")
    assert status == 200
    return str(json.loads(body)["model"]["bundle"])


def followers(service: Running) -> list[int]:
    """The processes that follow the model."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes()
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"serving.following.follower" in arguments and int(parent) == service.process.pid:
            found.append(int(folder.name))
    return found


def test_a_disk_that_takes_no_new_bundle_leaves_the_old_one_and_is_tried_again(
    tmp_path: Path,
) -> None:
    first = press_line_bundle(tmp_path / "press-line")
    with running(first.folder, tmp_path, poll_seconds=0.3) as service:
        before = service.score(NORMAL_ROW)["score"]
        wait_until(lambda: len(followers(service)) == 1, 60)
        wait_until(lambda: "status.json" in {file.name for file in tmp_path.glob("cache/*/*")}, 60)
        (follower,) = followers(service)
        resource.prlimit(follower, resource.RLIMIT_FSIZE, (16_384, resource.RLIM_INFINITY))
        second = press_line_bundle(tmp_path / "press-line", seed=1)
        assert second.hash != first.hash
        wait_until(lambda: "File too large" in service.get("/health/ready")[1], 60)
        for _ in range(20):
            assert service.score(NORMAL_ROW)["score"] == before
        assert held(service) == first.hash
        resource.prlimit(follower, resource.RLIMIT_FSIZE, UNLIMITED)
        wait_until(lambda: held(service) == second.hash, 60)
        assert service.score(NORMAL_ROW)["score"] != before
        assert followers(service) == [follower]


def test_a_disk_that_takes_nothing_at_all_stops_no_single_row(
    bundle: Bundle, tmp_path: Path
) -> None:
    with running(bundle.folder, tmp_path, rate_limit=100_000) as service:
        before = service.score(NORMAL_ROW)["score"]
        pid = service.process.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        for _ in range(50):
            assert service.score(NORMAL_ROW)["score"] == before
        for path in ("/health/live", "/health/ready", "/metrics", "/model", "/"):
            assert service.get(path)[0] == 200
        # A batch whose answer fits into memory needs no disk; a larger one is told that it does.
        connection = keep_alive(service)
        for count, status in ((100, 200), (200_000, 507)):
            rows = "[1.2,0.9,1.1]\n" * count
            kind = {"Content-Type": "application/x-ndjson"}
            connection.request("POST", "/anomaly/batch", rows, kind)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == status, content[:300]
        connection.close()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, UNLIMITED)
        assert service.score(NORMAL_ROW)["score"] == before
