"""The counts as text for a Prometheus server, by prometheus_client."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from serving.metrics.counts import Distribution, Labels, Snapshot, Value
from serving.metrics.families import FAMILIES, MODEL, SCORE_RATIO, VERDICTS, Family
from serving.metrics.shared import add

if TYPE_CHECKING:
    from prometheus_client.core import Metric

OVER: dict[str, Callable[[Iterable[float]], float]] = {"sum": sum, "min": min, "max": max}


def text(living: Sequence[Snapshot], ended: Snapshot, accept: str) -> tuple[bytes, str]:
    """The metrics, and the media type that `accept` prefers: OpenMetrics or Prometheus' own."""
    # Imported at the first look: most of its 3 MB and 30 ms are for a server of its own.
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    class Collector:
        def collect(self) -> Iterator["Metric"]:
            return metrics(living, ended)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type


def metrics(living: Sequence[Snapshot], ended: Snapshot) -> Iterator["Metric"]:
    """Every family, with the values of all workers in one."""
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    versions = {
        labels[1]
        for one in living
        for labels, _ in one.counters.get(VERDICTS.name, []) + one.gauges.get(MODEL.name, [])
    }
    counted = _recent(ended, versions)
    for one in living:
        counted = add(counted, one)
    for family in FAMILIES:
        if family.kind == "counter":
            counter = CounterMetricFamily(family.name, family.meaning, labels=family.labels)
            none: list[Value] = [] if family.labels else [((), 0.0)]
            for labels, value in sorted(counted.counters.get(family.name, none)):
                counter.add_metric(labels, value)
            yield counter
        elif family.kind == "gauge":
            gauge = GaugeMetricFamily(family.name, family.meaning, labels=family.labels)
            for labels, value in _gauges(family, (*living, ended)):
                gauge.add_metric(labels, value)
            yield gauge
        else:
            histogram = HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
            for found in sorted(counted.histograms.get(family.name, [])):
                histogram.add_metric(found.labels, _buckets(family, found), found.total)
            yield histogram


def _recent(ended: Snapshot, versions: set[str]) -> Snapshot:
    """Without the verdicts of versions that no worker speaks of any more."""
    counters = dict(ended.counters)
    counters[VERDICTS.name] = [
        (labels, value)
        for labels, value in ended.counters.get(VERDICTS.name, [])
        if labels[1] in versions
    ]
    histograms = dict(ended.histograms)
    histograms[SCORE_RATIO.name] = [
        one for one in ended.histograms.get(SCORE_RATIO.name, []) if one.labels[1] in versions
    ]
    return Snapshot(counters, histograms, {})


def _gauges(family: Family, snapshots: Iterable[Snapshot]) -> list[Value]:
    values: dict[Labels, list[float]] = {}
    for one in snapshots:
        for labels, value in one.gauges.get(family.name, []):
            values.setdefault(labels, []).append(value)
    return sorted((labels, OVER[family.over](found)) for labels, found in values.items())


def _buckets(family: Family, found: Distribution) -> list[tuple[str, float]]:
    """Prometheus counts what is below each bound, not what is between two."""
    names = (*map(repr, map(float, family.bounds)), "+Inf")
    return list(zip(names, accumulate(found.counts), strict=True))
