"""What one worker has counted since it started.

A request finds its numbers by one look into a dictionary and adds to them. Nothing is formatted,
and nothing grows without bound: routes and statuses are closed sets, sources and versions are
limited here.
"""

import resource
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from serving.following.detectors import Served
from serving.metrics.families import (
    CPU,
    DURATION,
    LAG,
    MEMORY,
    QUEUE,
    RATIOS,
    REJECTED,
    REQUESTS,
    SCORE_RATIO,
    SECONDS,
    STARTED,
    VERDICTS,
    WORKERS,
    Family,
)
from serving.verdicts.scoring import Judged, Origin

KEPT_VERSIONS = 10
"""The verdicts of older versions are forgotten: each has two counts and a histogram for every
source."""
OTHER = "other"
PAGE_BYTES = resource.getpagesize()

Labels = tuple[str, ...]
Value = tuple[Labels, float]
Read = Callable[[], Iterable[Value]]


class Distribution(NamedTuple):
    """A histogram of one set of labels: observations in each bucket, the last without an upper
    bound, and their sum."""

    labels: Labels
    counts: list[int]
    total: float

    def of(self, labels: Labels, other: "Distribution | None") -> "Distribution":
        """The same under `labels`, and what `other` observed with it."""
        if other is None:
            return Distribution(labels, self.counts, self.total)
        counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        return Distribution(labels, counts, self.total + other.total)


class Snapshot(msgspec.Struct):
    """What a worker has counted, by the names of the families."""

    counters: dict[str, list[Value]]
    histograms: dict[str, list[Distribution]]
    gauges: dict[str, list[Value]]


class Histogram:
    """Observations in buckets; a value on a bound belongs to the bucket below it."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add_all(self, counts: Sequence[int], total: float) -> None:
        """Count what has already been put into buckets, and its sum."""
        self.counts = [a + b for a, b in zip(self.counts, counts, strict=True)]
        self.total += total

    def distribution(self, *labels: str) -> Distribution:
        """What was observed, under these labels."""
        return Distribution(labels, list(self.counts), self.total)


class Answers:
    """Answers to one kind of request."""

    __slots__ = ("count", "duration")

    def __init__(self, duration: Histogram) -> None:
        self.count = 0
        self.duration = duration


class Verdicts:
    """What one version said of one source: `found` are [normal, anomaly], `ratios` its scores over
    the threshold."""

    __slots__ = ("found", "ratios")

    def __init__(self) -> None:
        self.found = [0, 0]
        self.ratios = Histogram(RATIOS)


Version = dict[str | None, Verdicts]
"""The verdicts of one version by their source."""


class Counts:
    """The numbers of one worker; an observer of the scoring core.

    Verdicts come from several threads and are added under a lock, answers from the event loop
    alone. `sources` so many different sources are told apart, the rest is `other`: their names come
    from clients.
    """

    def __init__(self, protocol: Callable[[str], str], sources: int) -> None:
        self.protocol = protocol
        self.sources = sources
        self.answered = 0
        self.in_flight = 0
        """Requests being answered now."""
        self._answers: dict[tuple[str, str, int], Answers] = {}
        self._durations: dict[str, Histogram] = {}
        self._rejected: dict[Labels, int] = {}
        self._versions: dict[str, Version] = {}
        self._known: set[str] = set()
        self._served: Served | None = None
        self._version: Version = {}
        self._per_threshold = 0.0
        self._lag = Histogram(SECONDS)
        self._lock = threading.Lock()
        self._readers: list[tuple[Family, Read]] = []
        self._queues: dict[str, Callable[[], int]] = {}
        self._started = time.time()

    def answer(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        try:
            answers = self._answers[route, method, status]
        except KeyError:
            duration = self._durations.setdefault(route, Histogram(SECONDS))
            answers = self._answers[route, method, status] = Answers(duration)
        answers.count += 1
        answers.duration.add(seconds)
        self.answered += 1

    def reject(self, route: str, reason: str) -> None:
        """A request was refused."""
        self._rejected[route, reason] = self._rejected.get((route, reason), 0) + 1

    def one(self, served: Served, origin: Origin, score: float, anomaly: bool) -> None:
        """A single window was judged."""
        with self._lock:
            if served is not self._served:
                self._turn_to(served)
            try:
                verdicts = self._version[origin.source]
            except KeyError:
                verdicts = self._of_source(origin.source)
            verdicts.found[anomaly] += 1
            if self._per_threshold:
                verdicts.ratios.add(score * self._per_threshold)

    def many(self, served: Served, origin: Origin, judged: Judged) -> None:
        """Rows were judged."""
        anomalies = int(np.count_nonzero(judged.anomaly_N))
        with self._lock:
            if served is not self._served:
                self._turn_to(served)
            per_threshold, verdicts = self._per_threshold, self._of_source(origin.source)
            verdicts.found[True] += anomalies
            verdicts.found[False] += len(judged.anomaly_N) - anomalies
        if per_threshold:
            ratios_N = judged.score_N * per_threshold
            bucket_N = np.searchsorted(RATIOS, ratios_N, side="left")
            counts = np.bincount(bucket_N, minlength=len(RATIOS) + 1).tolist()
            total = float(ratios_N.sum())
            with self._lock:
                verdicts.ratios.add_all(counts, total)

    def know(self, sources: Iterable[str]) -> None:
        """Tell these sources apart: a worker that follows another goes on with what it knew, and so
        their number stays limited however often one is replaced."""
        with self._lock:
            self._known |= set(islice(sources, self.sources))

    def lagged(self, seconds: float) -> None:
        """The event loop woke so much later than asked."""
        self._lag.add(seconds)

    def read(self, family: Family, values: Read) -> None:
        """Ask `values` for a gauge or a counter whenever a snapshot is made."""
        self._readers.append((family, values))

    def queue(self, name: str, depth: Callable[[], int]) -> None:
        """Ask `depth` for how much waits in the queue `name` whenever a snapshot is made."""
        self._queues[name] = depth

    def snapshot(self) -> Snapshot:
        """Everything counted so far."""
        verdicts, ratios = self._told()
        snapshot = Snapshot(
            counters={
                REQUESTS.name: [
                    ((self.protocol(route), route, method, str(status)), answers.count)
                    for (route, method, status), answers in list(self._answers.items())
                ],
                REJECTED.name: [(one, count) for one, count in list(self._rejected.items())],
                VERDICTS.name: verdicts,
                CPU.name: [((), _cpu_seconds())],
            },
            histograms={
                DURATION.name: [
                    duration.distribution(route)
                    for route, duration in list(self._durations.items())
                ],
                SCORE_RATIO.name: ratios,
                LAG.name: [self._lag.distribution()],
            },
            gauges={
                WORKERS.name: [((), 1.0)],
                STARTED.name: [((), self._started)],
                MEMORY.name: [((), _resident_bytes())],
                QUEUE.name: [((name,), float(depth())) for name, depth in [*self._queues.items()]],
            },
        )
        for family, values in self._readers:
            into = snapshot.counters if family.kind == "counter" else snapshot.gauges
            into.setdefault(family.name, []).extend(values())
        return snapshot

    def _told(self) -> tuple[list[Value], list[Distribution]]:
        """The verdicts, and their scores' distributions, by source and version as they are written:
        two sources may be written alike."""
        with self._lock:  # requests wait for it: what takes time comes after
            held = [
                (source, version, verdicts.found.copy(), verdicts.ratios.distribution())
                for version, of_source in self._versions.items()
                for source, verdicts in of_source.items()
            ]
        counts: dict[Labels, int] = {}
        ratios: dict[Labels, Distribution] = {}
        for source, version, found, distribution in held:
            labels = ("" if source is None else _writable(source), version)
            for verdict, count in zip(("normal", "anomaly"), found, strict=True):
                counts[*labels, verdict] = counts.get((*labels, verdict), 0) + count
            ratios[labels] = distribution.of(labels, ratios.get(labels))
        return list(counts.items()), list(ratios.values())

    def _turn_to(self, served: Served) -> None:
        name = _writable(served.version)
        if name not in self._versions:
            self._versions[name] = {}
            while len(self._versions) > KEPT_VERSIONS:
                del self._versions[next(iter(self._versions))]
        threshold = served.detector.threshold.value
        # A threshold of zero has no ratio, and below zero a larger ratio would be a smaller score.
        self._per_threshold = 1 / threshold if threshold > 0 else 0.0
        self._served, self._version = served, self._versions[name]

    def _of_source(self, source: str | None) -> Verdicts:
        if source is not None and source not in self._known:
            if len(self._known) < self.sources:
                self._known.add(source)
            else:
                source = OTHER
        verdicts = self._version.get(source)
        if verdicts is None:
            verdicts = self._version[source] = Verdicts()
        return verdicts


def _writable(text: str) -> str:
    """Fit for a label: what UTF-8 cannot say is replaced."""
    return text[:200].encode(errors="replace").decode()


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident_bytes() -> float:
    with suppress(OSError, ValueError, IndexError):
        return float(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # where there is no /proc: its peak
    return float(most)
