"""The real service on a free port."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Page, expect

from serving.app import create_app
from serving.settings import Settings

OpenPage = Callable[..., Page]
SENDS = {"Content-Type": "application/json"}


def application(folder: Path, bundle: Path, **settings: Any) -> FastAPI:
    """The service over a bundle folder, whether there is a bundle yet or not."""
    usual: dict[str, Any] = {
        "model_uri": str(bundle),
        "cache": folder / "cache",
        "poll_seconds": 0.2,
    }
    return create_app(Settings(**usual, **settings))


@contextmanager
def running(app: FastAPI, port: int = 0) -> Iterator[str]:
    """The address of a server that runs `app`, on a free port unless one is named."""
    config = uvicorn.Config(
        app, port=port, log_level="critical", ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the service did not start")
            thread.join(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join()


def send(
    address: str, source: str, row: list[float], count: int = 1, sends: Mapping[str, str] = SENDS
) -> None:
    """So many rows of `source`, one after the other; each is answered."""
    for _ in range(count):
        send_row(address, {"values": row, "source": source}, sends)


def send_row(address: str, body: Mapping[str, Any], sends: Mapping[str, str] = SENDS) -> None:
    """One row, with whatever may be said of it."""
    urlopen(Request(f"{address}anomaly", json.dumps(body).encode(), dict(sends))).close()


def send_and_wait(
    address: str, source: str, row: list[float], count: int = 1, sends: Mapping[str, str] = SENDS
) -> None:
    """As `send`, and until the pages know the source."""
    send(address, source, row, count, sends)
    wait_until_known(address, source, sends)


def wait_until_known(address: str, source: str, sends: Mapping[str, str] = SENDS) -> None:
    """Normal rows are written within half a second."""
    deadline = time.monotonic() + 60
    while True:
        with urlopen(Request(f"{address}api/sources", headers=dict(sends)), timeout=30) as answer:
            if source in {one["name"] for one in json.load(answer)["sources"]}:
                return
        assert time.monotonic() < deadline, f"'{source}' is not known"
        time.sleep(0.05)


def wait_for_points(page: Page, count: int) -> None:
    """Until the trend of a source's page has so many."""
    expect(page.locator("#chart")).to_have_attribute("aria-valuemax", str(count - 1))


def decide(address: str, bundle: str, value: float | None) -> None:
    """Set a threshold by hand for the bundle with this hash, or take it back."""
    body = {"bundle": bundle, "value": value, "comment": "too loud"}
    ask = Request(
        f"{address}api/threshold",
        None if value is None else json.dumps(body).encode(),
        SENDS,
        method="DELETE" if value is None else "POST",
    )
    urlopen(ask, timeout=30).close()
