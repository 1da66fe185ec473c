"""Every metric of the service, once; docs/monitoring.md explains each."""

from dataclasses import dataclass
from typing import Literal

SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
)  # fmt: skip
"""Upper bounds of durations: from a fast verdict to a large batch."""
RATIOS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 100.0)
"""Upper bounds of score / threshold: up to 1 is normal, and near 1 they are close."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    `over` says how a gauge of several workers becomes one. Counters and histograms are summed, over
    the workers that have ended as well: a replaced worker takes nothing back.
    """

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    meaning: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    over: Literal["sum", "min", "max"] = "sum"


REQUESTS = Family(
    "kizashi_requests_total",
    "counter",
    "Requests answered.",
    ("protocol", "route", "method", "status"),
)
DURATION = Family(
    "kizashi_request_duration_seconds",
    "histogram",
    "Seconds from the head of a request to the end of its answer.",
    ("route",),
    SECONDS,
)
IN_FLIGHT = Family("kizashi_requests_in_flight", "gauge", "Requests being answered now.")
REJECTED = Family(
    "kizashi_rejected_total",
    "counter",
    "Requests refused, by the kind of error.",
    ("route", "reason"),
)
VERDICTS = Family(
    "kizashi_verdicts_total",
    "counter",
    "Windows scored, by what was said of them.",
    ("source", "version", "verdict"),
)
SCORE_RATIO = Family(
    "kizashi_score_ratio",
    "histogram",
    "Score divided by threshold; above 1 is an anomaly.",
    ("source", "version"),
    RATIOS,
)
MODEL = Family(
    "kizashi_model_info",
    "gauge",
    "Workers that serve this version.",
    ("name", "version", "bundle"),
)
THRESHOLD_BY_HAND = Family(
    "kizashi_threshold_by_hand",
    "gauge",
    "1 while a threshold that a person set is in force in some worker.",
    over="max",
)
SWAPS = Family(
    "kizashi_model_swaps_total",
    "counter",
    "Changes of the served version: swapped and failed once a worker, refused once a host.",
    ("outcome",),
)
REFUSED = Family(
    "kizashi_model_refused",
    "gauge",
    "1 while the version that should be served is refused.",
    over="max",
)
REGISTRY = Family(
    "kizashi_registry_reachable",
    "gauge",
    "1 while the registry can be reached, 0 while it cannot.",
    over="min",
)
QUEUE = Family("kizashi_queue_depth", "gauge", "What waits in a queue.", ("queue",))
HISTORY_ROWS = Family(
    "kizashi_history_rows_total",
    "counter",
    "Rows that were committed to the history, or dropped because it could not keep up.",
    ("outcome",),
)
HISTORY_FAILING = Family(
    "kizashi_history_failing",
    "gauge",
    "1 while the history cannot be written, and anomalies are answered with 503.",
    over="max",
)
NOTIFICATIONS_SENDING = Family(
    "kizashi_notifications_sending",
    "gauge",
    "1 on the host that sends notifications, 0 on the others.",
)
NOTIFICATIONS_WAITING = Family(
    "kizashi_notifications_waiting",
    "gauge",
    "Notifications that have not arrived yet, line stops among them.",
    ("channel", "name"),
)
NOTIFICATIONS_OLDEST = Family(
    "kizashi_notifications_oldest_waiting_seconds",
    "gauge",
    "How long the oldest notification that waits has waited; 0 where none does.",
    ("channel", "name"),
)
NOTIFICATIONS_UNSEEN = Family(
    "kizashi_notifications_unseen",
    "gauge",
    "Notifications that were given up, and nobody has said that they know; stop: line stops.",
    ("stop",),
)
NOTIFICATIONS = Family(
    "kizashi_notifications_total",
    "counter",
    "Notifications that were sent, summed up, not sent in a dry run, or given up.",
    ("channel", "name", "outcome"),
)
LINE_STOPS = Family(
    "kizashi_line_stops_total",
    "counter",
    "The line stops among them.",
    ("channel", "name", "outcome"),
)
NOTIFICATION_FAILURES = Family(
    "kizashi_notification_failures_total",
    "counter",
    "Attempts that did not get through.",
    ("channel", "name"),
)
LAG = Family(
    "kizashi_event_loop_lag_seconds",
    "histogram",
    "How much later than asked the event loop wakes, four times a second.",
    (),
    SECONDS,
)
WORKERS = Family("kizashi_workers", "gauge", "Workers that run.")
READY = Family("kizashi_workers_ready", "gauge", "Workers that can score.")
ENDED = Family("kizashi_workers_ended_total", "counter", "Workers that ended, however they did.")
STARTED = Family(
    "kizashi_start_time_seconds",
    "gauge",
    "When the oldest worker that runs was started, in Unix time.",
    over="min",
)
CPU = Family("kizashi_cpu_seconds_total", "counter", "Processor time that the workers took.")
MEMORY = Family("kizashi_resident_memory_bytes", "gauge", "Memory that the workers hold.")

FAMILIES = (
    REQUESTS,
    DURATION,
    IN_FLIGHT,
    REJECTED,
    VERDICTS,
    SCORE_RATIO,
    MODEL,
    THRESHOLD_BY_HAND,
    SWAPS,
    REFUSED,
    REGISTRY,
    QUEUE,
    HISTORY_ROWS,
    HISTORY_FAILING,
    NOTIFICATIONS_SENDING,
    NOTIFICATIONS_WAITING,
    NOTIFICATIONS_OLDEST,
    NOTIFICATIONS_UNSEEN,
    NOTIFICATIONS,
    LINE_STOPS,
    NOTIFICATION_FAILURES,
    LAG,
    WORKERS,
    READY,
    ENDED,
    STARTED,
    CPU,
    MEMORY,
)
