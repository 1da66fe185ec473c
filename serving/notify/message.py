"""What a notification says: to people in their language, to machines as JSON."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from serving.alarms.desk import SERVICE, Payload
from serving.history.record import MICROSECONDS
from serving.notify.reasons import in_words
from serving.pages.locale import LOCALES

Language = Literal["en", "ja"]
LINE_STOP = "line_stop"
TEST = "test"
"""The event of a message that is only to be seen to arrive."""
TEST_LASTS_SECONDS = 60.0
"""Who asked for a test is waiting: later it would only surprise."""
STOP_LASTS_SECONDS = 60.0
"""A line stop that arrives later was for a state that may be over, and a line that stops for no
reason that anybody sees is a danger of its own: it is then neither sent nor to be obeyed."""


@dataclass(frozen=True, slots=True)
class Message:
    """One notification for one channel.

    `key` stays the same however often it is sent: a receiver that has seen it may drop it.
    `document` is for machines, `title` and `body` are for people. `stops` says that it asks for a
    line stop.
    """

    key: str
    title: str
    body: str
    urgent: bool
    stops: bool
    document: dict[str, Any]


def message(
    payload: Payload, language: Language, address: str | None = None, *, stops: bool = False
) -> Message:
    """The message of one step of an alarm; `address` is where the service's pages are."""
    t = LOCALES[language]
    names = {"source": payload.source, "kind": t(f"notify.kind.{payload.kind}")}
    step = t(f"notify.event.{payload.event}", **names)
    urgency = t("notify.line_stop") if stops else t(f"notify.priority.{payload.priority}")
    facts = [
        ("since", None if payload.began is None else local_time(payload.began)),
        ("until", None if payload.ended is None else local_time(payload.ended)),
        ("sensor", payload.sensor),
        ("severity", None if payload.severity is None else f"{payload.severity:.0%}"),
        ("score", _score(payload)),
        ("reason", payload.reason and in_words(payload.reason, t)),
        ("state", t(f"notify.state.{payload.state}")),
        ("who", None if payload.who == SERVICE else payload.who),
        # Why the service does something is the reason, and not somebody's comment.
        ("why", None if payload.who == SERVICE else payload.why),
        ("model", None if payload.model is None else f"{payload.model} {payload.version or ''}"),
        ("page", None if address is None else source_page(address, payload.source)),
        ("id", payload.key),
    ]
    lines = [(t(f"notify.fact.{name}"), fact) for name, fact in facts if fact]
    body = "\n".join(f"{name}: {fact}".rstrip() for name, fact in lines)
    urgent = payload.state == "unacknowledged" and payload.priority in ("high", "critical")
    told = document(payload, stops=stops)
    return Message(payload.key, f"[{urgency}] {step}", body, urgent, stops, told)


def source_page(address: str, source: str) -> str:
    """The page of a source, below the address of the service; a name of dots alone would be taken
    for a step up in it."""
    if source in (".", ".."):
        return f"{address.rstrip('/')}/sources/?name={source}"
    return f"{address.rstrip('/')}/sources/{quote(source, safe='')}"


def document(payload: Payload, *, stops: bool = False) -> dict[str, Any]:
    """What machines get; docs/notifications.md explains each name."""
    return {
        "id": payload.key,
        "command": "stop" if stops else None,
        "event": payload.event,
        "at": _time(payload.at),
        "expires": _time(payload.at + round(STOP_LASTS_SECONDS * MICROSECONDS)) if stops else None,
        "source": payload.source,
        "kind": payload.kind,
        "state": payload.state,
        "before": payload.before,
        "priority": payload.priority,
        "severity": payload.severity,
        "score": payload.score,
        "threshold": payload.threshold,
        "sensor": payload.sensor,
        "reason": payload.reason,
        "alarm": payload.alarm_id,
        "occurrence": payload.occurrence_id,
        "began": _time(payload.began),
        "ended": _time(payload.ended),
        "who": payload.who,
        "why": payload.why,
        "until": _time(payload.until),
        "model": None
        if payload.model is None
        else {"name": payload.model, "version": payload.version},
    }


def summary(messages: list[Message], key: str, language: Language) -> Message:
    """One message instead of many that a channel may not get one by one in so short a time."""
    t = LOCALES[language]
    title = t("notify.summary", count=len(messages))
    number = t("notify.fact.id")
    body = "\n".join([*(one.title for one in messages), f"{number}: {key}"])
    urgent = any(one.urgent for one in messages)
    return Message(key, title, body, urgent, False, {})


def local_time(microseconds: int) -> str:
    """A time as people read it, in the time zone of the machine that sends it."""
    return f"{_moment(microseconds).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def _score(payload: Payload) -> str | None:
    if payload.score is None:
        return None
    over = "" if payload.threshold is None else f" > {payload.threshold:.4g}"
    return f"{payload.score:.4g}{over if payload.kind == 'anomaly' else ''}"


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / MICROSECONDS, UTC)


def _time(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    return _moment(microseconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")
