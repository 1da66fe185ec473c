"""How usable a year of history is: its size, how long queries take, and pages in a real browser."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlencode

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from bench.history.bench import SQLITE, Bench
from bench.history.made import Year, make
from bench.serving.bench import said
from bench.serving.model import simulated_rows
from bench.serving.processes import on_cores
from bench.serving.records import Figure, failed, figures
from bench.serving.server import NotServing, Server
from serving.history.tables import DAY

MEASURE = "year"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
HOUR = 3600
GIGABYTE = 1e9


def measure(bench: Bench) -> Iterator[Figure]:
    """Make it, ask the service, open the pages."""
    settings = bench.settings
    try:
        with bench.store(SQLITE) as store:
            path = bench.folder / "history.db"
            year = Year(
                settings.sources, settings.year_days, settings.row_days, int(time.time()) - 60
            )
            said(f"{MEASURE}: making {year.days} days of {year.sources} sources")
            began = time.perf_counter()
            make(path, year, bench.served.bundle, simulated_rows(DAY, len(bench.served.names), 5))
            seconds, size = time.perf_counter() - began, path.stat().st_size
            said(f"{MEASURE}: {size / GIGABYTE:.2f} GB, made in {seconds:.0f} s")
            found = {
                "days": year.days,
                "row_days": year.row_days,
                "sources": year.sources,
                "bytes": size,
                "made_seconds": seconds,
            }
            yield from figures(MEASURE, SQLITE, found)
            with bench.serving(store.address) as server:
                yield from _queries(bench, server, year)
                yield from _pages(bench, server)
    except Exception as error:
        said(f"{MEASURE}: failed: {error}")
        yield failed(MEASURE, SQLITE, error)


def _queries(bench: Bench, server: Server, year: Year) -> Iterator[Figure]:
    """Milliseconds until the whole answer is there, over HTTP."""
    headers = server.peer.headers(server.place)
    middle = year.until - year.days * DAY // 2
    asked = {
        "overview": "/api/sources",
        "hour_of_rows": _series(year.until - HOUR, year.until, "raw"),
        "day_by_minute": _series(middle - DAY, middle, "minute"),
        "year_by_day": _series(year.until - year.days * DAY, year.until, "auto"),
    }
    for name, path in asked.items():
        took = []
        for _ in range(bench.settings.queries):
            began = time.perf_counter()
            answer = json.loads(server.ask("GET", path, headers=headers))
            took.append(1e3 * (time.perf_counter() - began))
        points = len(answer.get("time", answer.get("sources")))
        if not points:
            raise NotServing(f"{path} has nothing to show")
        found = {
            "ms": float(np.median(took)), "worst_ms": max(took), "points": points,
        }  # fmt: skip
        said(f"{MEASURE}: {name}: {found['ms']:.0f} ms, at most {found['worst_ms']:.0f}; {points}")
        yield from figures(MEASURE, SQLITE, found, name)


def _series(start: int, end: int, resolution: str) -> str:
    times = {"start": start, "end": end}
    asked = {name: datetime.fromtimestamp(time, UTC).isoformat() for name, time in times.items()}
    return "/api/series?" + urlencode(
        {"source": "press-00", **asked, "resolution": resolution, "points": 2000}
    )


def _pages(bench: Bench, server: Server) -> Iterator[Figure]:
    """Milliseconds from the address to the drawing, each time in a browser that has nothing."""
    pages = {
        "page_overview": ("/", ".tile"),
        "page_year": (f"/sources/press-00?span={365 * DAY}", "#chart .main-svg"),
    }
    with _browser(server) as browser:
        for name, (path, drawn) in pages.items():
            took = []
            for _ in range(bench.settings.loads):
                context = browser.new_context(
                    extra_http_headers=server.peer.headers(server.place), locale="en"
                )
                page = context.new_page()
                began = time.perf_counter()
                page.goto(f"http://127.0.0.1:{server.place.port}{path}")
                page.wait_for_selector(drawn)
                took.append(1e3 * (time.perf_counter() - began))
                context.close()
            found = {"ms": float(np.median(took)), "worst_ms": max(took)}
            said(f"{MEASURE}: {name}: {found['ms']:.0f} ms, at most {found['worst_ms']:.0f}")
            yield from figures(MEASURE, SQLITE, found, name)


@contextmanager
def _browser(server: Server) -> Iterator[Browser]:
    """The system's Chromium, on the cores of clients."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise NotServing(f"none of {', '.join(BROWSERS)} is installed")
    with on_cores(server.cores.client), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()
