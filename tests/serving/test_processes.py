"""Workers, signals and slow clients, with real processes and sockets."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kizashi.runtime.bundle import Bundle
from tests.bundles import NORMAL_ROW, press_line_bundle
from tests.linux import has_taken
from tests.serving.services import (
    Running,
    answer_of,
    keep_alive,
    running,
    samples,
    total,
    wait_until,
)

BODY = json.dumps({"values": NORMAL_ROW}).encode()
HEAD = (
    b"POST /anomaly HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n"
) % len(BODY)
PATIENCE = 1.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return press_line_bundle(tmp_path_factory.mktemp("bundle") / "press-line")


@pytest.fixture(scope="module")
def two_workers(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("two")
    with running(bundle.folder, folder, workers=2, body_timeout_seconds=PATIENCE) as service:
        yield service


def settled(service: Running, count: int) -> None:
    """Wait until as many workers have said that they run."""
    wait_until(lambda: total(service.metrics(), "kizashi_workers") == count)


def test_any_worker_answers_for_all(two_workers: Running) -> None:
    settled(two_workers, 2)
    before = total(two_workers.metrics(), "kizashi_verdicts_total", source="press 7")
    for _ in range(40):
        two_workers.score(NORMAL_ROW, source="press 7")
    expected = before + 40
    wait_until(
        lambda: total(two_workers.metrics(), "kizashi_verdicts_total", source="press 7") == expected
    )
    # Who said so had read what the other wrote down, and written down its own: all is told by both.
    told = [two_workers.metrics() for _ in range(20)]
    assert {total(one, "kizashi_verdicts_total", source="press 7") for one in told} == {expected}
    assert {total(one, "kizashi_workers_ready") for one in told} == {2}
    assert {total(one, "kizashi_model_info") for one in told} == {2}


def test_a_killed_worker_is_replaced_under_load_and_takes_no_count_back(
    two_workers: Running,
) -> None:
    settled(two_workers, 2)
    ended = total(two_workers.metrics(), "kizashi_workers_ended_total")
    stop, failures, highest = threading.Event(), [], [0.0]
    answered = 0

    def load() -> None:
        nonlocal answered
        while not stop.is_set():
            try:
                two_workers.score(NORMAL_ROW)
                answered += 1
            except OSError as error:
                failures.append(error)

    def watch() -> None:
        while not stop.is_set():
            try:
                seen = total(two_workers.metrics(), "kizashi_verdicts_total")
            except OSError:
                continue
            assert seen >= highest[0]
            highest[0] = seen

    threads = [threading.Thread(target=one) for one in (load, load, watch)]
    for one in threads:
        one.start()
    time.sleep(1)
    victim = two_workers.workers()[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(two_workers.workers()) == 2 and victim not in two_workers.workers(), 40)
    at_replacement = answered
    wait_until(lambda: answered > at_replacement + 20)
    stop.set()
    for one in threads:
        one.join()
    settled(two_workers, 2)
    found = two_workers.metrics()
    assert highest[0] > 0
    assert total(found, "kizashi_verdicts_total") >= highest[0]
    assert total(found, "kizashi_workers_ended_total") == ended + 1
    # Only what the killed worker was answering at that moment is lost: one request a connection.
    assert len(failures) <= 2
    assert any(
        json.loads(line)["message"].startswith(f"worker {victim} ended with status -9")
        for line in two_workers.log.splitlines()
    )


def test_every_line_of_the_log_is_one_json_object(two_workers: Running) -> None:
    lines = [json.loads(line) for line in two_workers.log.splitlines()]
    assert lines
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)


def test_a_body_that_trickles_is_answered_with_408_and_the_connection_ends(
    two_workers: Running,
) -> None:
    with two_workers.connect() as connection:
        connection.sendall(HEAD)
        started = time.monotonic()
        stop = threading.Event()

        def trickle() -> None:
            for byte in BODY[:-1]:
                if stop.wait(PATIENCE / 10):
                    return
                with suppress(OSError):  # it has been answered, and ended
                    connection.sendall(bytes([byte]))

        drops = threading.Thread(target=trickle)
        drops.start()
        status, headers, body = answer_of(connection)
        assert time.monotonic() - started < 10 * PATIENCE
        stop.set()
        drops.join()
        assert status == 408
        assert headers["connection"] == "close"
        assert "the body did not come within 1 seconds" in json.loads(body)["detail"]
    wait_until(lambda: total(two_workers.metrics(), "kizashi_rejected_total", reason="TooSlow") > 0)
    settled(two_workers, 2)


@pytest.mark.parametrize("sent", [b"", b"POST /anomaly HTTP/1.1\r\nHost"], ids=["nothing", "half"])
def test_a_connection_without_a_whole_head_is_closed(two_workers: Running, sent: bytes) -> None:
    with two_workers.connect() as connection:
        connection.sendall(sent)
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    "sent",
    [b"nonsense\r\n\r\n", HEAD.replace(b"Content-Length: ", b"Content-Length: x")],
    ids=["request line", "length"],
)
def test_what_is_no_http_is_answered_with_a_problem_document_and_counted(
    two_workers: Running, sent: bytes
) -> None:
    def refused_so_far() -> float:
        return total(two_workers.metrics(), "kizashi_rejected_total", reason="MalformedRequest")

    before = refused_so_far()
    with two_workers.connect() as connection:
        connection.sendall(sent)
        status, headers, body = answer_of(connection)
        assert connection.recv(1) == b""
    problem = json.loads(body)
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert headers["x-request-id"] == problem["request_id"]
    assert "no HTTP/1.1 request" in problem["detail"]
    wait_until(lambda: refused_so_far() == before + 1)


def test_an_idle_connection_is_closed_after_its_answer(two_workers: Running) -> None:
    with two_workers.connect() as connection:
        connection.sendall(HEAD + BODY)
        assert answer_of(connection)[0] == 200
        assert connection.recv(1) == b""


def test_a_busy_connection_is_kept_beyond_that(two_workers: Running) -> None:
    connection = keep_alive(two_workers)
    deadline = time.monotonic() + 4 * PATIENCE
    headers = {"Content-Type": "application/json"}
    connection.connect()
    own = connection.sock.getsockname()
    while time.monotonic() < deadline:
        connection.request("POST", "/anomaly", BODY, headers)
        assert connection.getresponse().read()
        assert connection.sock.getsockname() == own
        time.sleep(PATIENCE / 5)
    connection.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_answers_what_is_under_way_and_takes_nothing_new(
    bundle: Bundle, tmp_path: Path, workers: int
) -> None:
    with running(bundle.folder, tmp_path, workers=workers) as service:
        under_way = [service.connect() for _ in range(4)]
        for connection in under_way:
            connection.sendall(HEAD + BODY[:5])
        batch = service.connect()
        rows = json.dumps({"instances": [NORMAL_ROW] * 200_000}).encode()
        batch.sendall(
            b"POST /anomaly/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(rows)
        )
        batch.sendall(rows)
        wait_until(lambda: all(has_taken(service.port, one) for one in [*under_way, batch]))
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refused(service.port))
        for connection in under_way:
            connection.sendall(BODY[5:])
            assert answer_of(connection)[0] == 200
            connection.close()
        status, _, body = answer_of(batch)
        assert status == 200
        assert len(json.loads(body)["scores"]) == 200_000
        batch.close()
        service.process.wait(30)


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_workers_end_with_a_parent_that_was_killed_and_leave_the_port_to_the_next(
    bundle: Bundle, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with running(bundle.folder, first, workers=2) as service:
        workers = service.workers()
        assert len(workers) == 2
        under_way = service.connect()
        under_way.sendall(HEAD + BODY[:5])
        wait_until(lambda: has_taken(service.port, under_way))
        service.process.kill()
        service.process.wait()
        wait_until(lambda: refused(service.port))
        under_way.sendall(BODY[5:])
        assert answer_of(under_way)[0] == 200  # what is under way is answered
        under_way.close()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
        with running(bundle.folder, second, port=service.port, workers=2) as again:
            assert again.score(NORMAL_ROW)["status"] == "normal"


def test_a_request_that_is_never_finished_does_not_keep_the_service_from_ending(
    bundle: Bundle, tmp_path: Path
) -> None:
    with (
        running(bundle.folder, tmp_path, workers=2, body_timeout_seconds=3600) as service,
        service.connect() as connection,
    ):
        connection.sendall(HEAD + BODY[:5])
        wait_until(lambda: has_taken(service.port, connection))
        service.process.send_signal(signal.SIGTERM)
        try:
            service.process.wait(120)
        except subprocess.TimeoutExpired:
            pytest.fail(service.log)


def test_a_new_start_counts_from_zero_and_leaves_no_old_folder(
    bundle: Bundle, tmp_path: Path
) -> None:
    for _ in range(2):
        with running(bundle.folder, tmp_path) as service:
            service.score(NORMAL_ROW)
            found = samples(service.get("/metrics")[1])
            assert total(found, "kizashi_verdicts_total") == 1
            assert len(list(tmp_path.glob("cache/*/metrics/*"))) == 1
