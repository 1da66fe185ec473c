"""Latency under load while the version that is served changes, beside the same load without.

The service follows a folder; another bundle is put in its place every few seconds."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from bench.serving.bench import Bench, said
from bench.serving.peers import OURS, PEERS
from bench.serving.records import Figure, failed, figures
from bench.serving.server import Server, finish_load

MEASURE = "swap"
NUMBERS = ("per_second", "p50_us", "p99_us", "p999_us", "worst_us", "requests", "failures")
VERSION = "x-model-version"
POLL_SECONDS = "0.2"


def measure(bench: Bench) -> Iterator[Figure]:
    """Steady and swapping in turn, on one server."""
    try:
        other = bench.other()
        folders = bench.work / "swap"
        shutil.rmtree(folders, ignore_errors=True)
        served, waiting = folders / "model", folders / "waiting"
        shutil.copytree(bench.bundle.folder, served)
        shutil.copytree(other.folder, waiting)
        settings = {"KIZASHI_MODEL_URI": str(served), "KIZASHI_POLL_SECONDS": POLL_SECONDS}
        with bench.serving(PEERS[OURS], settings=settings) as server:
            for turn in bench.few_rounds:
                for variant in ("steady", "swapping"):
                    yield from _one(bench, server, variant, turn, served, waiting)
    except Exception as error:
        said(f"swap: failed: {error}")
        yield failed(MEASURE, OURS, error)


def _one(
    bench: Bench, server: Server, variant: str, turn: int, served: Path, waiting: Path
) -> Iterator[Figure]:
    settings = bench.settings
    client = server.start_load(
        bench.requests(server), settings.swap_seconds, settings.connections, VERSION
    )
    end = time.monotonic() + settings.swap_seconds - settings.swap_every
    swaps = 0
    while variant == "swapping" and time.monotonic() < end:
        time.sleep(settings.swap_every)
        exchange(served, waiting)
        swaps += 1
    found = finish_load(client)
    said(
        f"swap: {variant}: p99 {found['p99_us'] / 1e3:.2f} ms, p99.9 {found['p999_us'] / 1e3:.2f} "
        f"ms, {found['failures']} failures, versions {found['seen']}"
    )
    found["per_second"] = found["requests"] / found["seconds"]
    numbers = {name: float(found[name]) for name in NUMBERS}
    numbers |= {"swaps": float(swaps), "versions": float(len(found["seen"]))}
    yield from figures(MEASURE, server.peer.name, numbers, variant, turn)


def exchange(one: Path, other: Path) -> None:
    """Each folder gets the other's name; for a moment there is no `one`, as in a real exchange."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
