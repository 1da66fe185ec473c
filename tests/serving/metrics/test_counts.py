import threading

import numpy as np
import pytest

from kizashi.runtime.bundle import Bundle
from serving.following.cache import Pointer
from serving.following.detectors import Served
from serving.metrics.counts import KEPT_VERSIONS, Counts, Distribution, Histogram, Value
from serving.metrics.families import DURATION, QUEUE, REQUESTS, SCORE_RATIO, VERDICTS
from serving.verdicts.scoring import Judged, Origin


def served(bundle: Bundle, version: str = "7") -> Served:
    pointer = Pointer(bundle=bundle.hash, name="kizashi", version=version, source="s", since="")
    return Served(bundle, pointer)


def origin(source: str | None = None) -> Origin:
    return Origin("anomaly", "id", source)


def make(sources: int = 100) -> Counts:
    return Counts(lambda route: "kizashi", sources)


def verdicts(counts: Counts) -> dict[tuple[str, ...], float]:
    return {labels: value for labels, value in counts.snapshot().counters[VERDICTS.name] if value}


def ratios(counts: Counts) -> dict[tuple[str, ...], int]:
    """How many scores there are of each source and version."""
    found = counts.snapshot().histograms[SCORE_RATIO.name]
    assert len({one.labels for one in found}) == len(found)
    return {one.labels: sum(one.counts) for one in found}


def test_a_value_on_a_bound_belongs_below_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 3.0):
        histogram.add(value)
    assert histogram.distribution("a") == Distribution(("a",), [2, 2, 1], 8.0)


def test_answers_are_counted_by_route_method_and_status_and_timed_by_route() -> None:
    counts = make()
    counts.answer("/anomaly", "POST", 200, 0.0002)
    counts.answer("/anomaly", "POST", 200, 0.02)
    counts.answer("/anomaly", "POST", 422, 0.0001)
    snapshot = counts.snapshot()
    assert dict(snapshot.counters[REQUESTS.name]) == {
        ("kizashi", "/anomaly", "POST", "200"): 2,
        ("kizashi", "/anomaly", "POST", "422"): 1,
    }
    (duration,) = snapshot.histograms[DURATION.name]
    assert duration.labels == ("/anomaly",)
    assert sum(duration.counts) == 3
    assert duration.total == pytest.approx(0.0203)


def test_many_verdicts_count_as_one_and_one(press_line: Bundle) -> None:
    single, batch, model = make(), make(), served(press_line)
    threshold = press_line.detector.threshold.value
    score_N = np.array([0.0, 0.3, 0.5, 1.0, 1.3, 40.0]) * threshold
    anomaly_N = score_N > threshold
    for score, anomaly in zip(score_N.tolist(), anomaly_N.tolist(), strict=True):
        single.one(model, origin("p"), score, anomaly)
    batch.many(model, origin("p"), Judged(score_N, anomaly_N))
    assert verdicts(single) == verdicts(batch)
    assert verdicts(batch) == {("p", "7", "normal"): 4, ("p", "7", "anomaly"): 2}
    (one,) = single.snapshot().histograms[SCORE_RATIO.name]
    (many,) = batch.snapshot().histograms[SCORE_RATIO.name]
    assert one.labels == many.labels == ("p", "7")
    assert one.counts == many.counts
    assert one.total == pytest.approx(many.total)


def test_what_is_normal_is_never_counted_above_one(press_line: Bundle) -> None:
    counts, model = make(), served(press_line)
    threshold = press_line.detector.threshold.value
    counts.one(model, origin(), threshold, False)
    counts.one(model, origin(), float(np.nextafter(threshold, np.inf)) * 1.0001, True)
    (found,) = counts.snapshot().histograms[SCORE_RATIO.name]
    up_to_one = SCORE_RATIO.bounds.index(1.0)
    assert (sum(found.counts[: up_to_one + 1]), sum(found.counts[up_to_one + 1 :])) == (1, 1)


def test_sources_beyond_the_limit_are_other(press_line: Bundle) -> None:
    counts, model = make(sources=2), served(press_line)
    for source in ("a", "b", "c", "d", "a", None):
        counts.one(model, origin(source), 0.1, False)
    counts.many(model, origin("e"), Judged(np.array([0.1, 0.1]), np.array([False, False])))
    assert verdicts(counts) == {
        ("a", "7", "normal"): 2,
        ("b", "7", "normal"): 1,
        ("other", "7", "normal"): 4,
        ("", "7", "normal"): 1,
    }
    assert ratios(counts) == {("a", "7"): 2, ("b", "7"): 1, ("other", "7"): 4, ("", "7"): 1}


def test_the_scores_of_each_source_and_version_have_a_distribution_of_their_own(
    press_line: Bundle,
) -> None:
    counts = make()
    threshold = press_line.detector.threshold.value
    for version, source, ratio in (("7", "a", 0.3), ("7", "b", 1.3), ("8", "a", 40.0)):
        counts.one(served(press_line, version), origin(source), ratio * threshold, ratio > 1)
    found = {one.labels: one for one in counts.snapshot().histograms[SCORE_RATIO.name]}
    assert {labels: one.total for labels, one in found.items()} == pytest.approx(
        {("a", "7"): 0.3, ("b", "7"): 1.3, ("a", "8"): 40.0}
    )
    assert found["a", "7"].counts.index(1) < found["b", "7"].counts.index(1)


def test_sources_that_are_written_alike_are_counted_as_one(press_line: Bundle) -> None:
    counts = make()
    for source in ("press \ud800", "press \ud801"):
        counts.one(served(press_line), origin(source), 0.1, False)
    assert verdicts(counts) == {("press ?", "7", "normal"): 2}
    assert ratios(counts) == {("press ?", "7"): 2}


def test_a_source_that_utf8_cannot_say_is_still_counted(press_line: Bundle) -> None:
    counts = make()
    counts.one(served(press_line), origin("press \ud800"), 0.1, False)
    assert verdicts(counts) == {("press ?", "7", "normal"): 1}


def test_the_last_versions_are_kept(press_line: Bundle) -> None:
    counts = make()
    for version in range(KEPT_VERSIONS + 5):
        counts.one(served(press_line, str(version)), origin(), 0.1, False)
    kept = {version for _, version, _ in verdicts(counts)}
    assert kept == {str(version) for version in range(5, KEPT_VERSIONS + 5)}


def test_verdicts_of_several_threads_are_all_counted(press_line: Bundle) -> None:
    counts = make()
    models = [served(press_line, "1"), served(press_line, "2")]

    def score() -> None:
        for step in range(2000):
            counts.one(models[step % 2], origin("p"), 0.1, False)
            counts.many(
                models[step % 2], origin(), Judged(np.array([0.1, 9]), np.array([0, 1]) > 0)
            )

    threads = [threading.Thread(target=score) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sum(verdicts(counts).values()) == 4 * 2000 * 3
    found = counts.snapshot().histograms[SCORE_RATIO.name]
    assert sum(sum(one.counts) for one in found) == 4 * 2000 * 3


def test_queues_are_asked_at_each_snapshot() -> None:
    counts, waiting = make(), [1]
    counts.queue("history", lambda: waiting[0])

    def depth() -> list[Value]:
        return counts.snapshot().gauges["kizashi_queue_depth"]

    assert depth() == [(("history",), 1.0)]
    waiting[0] = 5
    assert depth() == [(("history",), 5.0)]


def test_a_queue_that_comes_while_the_others_are_asked_disturbs_nobody() -> None:
    counts = make()

    def depth() -> int:
        counts.queue("batches", lambda: 3)
        return 2

    counts.queue("history", depth)
    assert counts.snapshot().gauges[QUEUE.name] == [(("history",), 2)]
    assert len(counts.snapshot().gauges[QUEUE.name]) == 2
