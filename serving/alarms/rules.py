"""When alarms begin and end, and how urgent they are: defaults, and a file for what differs.

docs/alarms.md explains each name, its default and why.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from kizashi.errors import ConfigurationError
from serving.alarms.machine import MOST_VERDICTS, Rule

Kind = Literal["anomaly", "data_quality", "silence", "drift"]
KINDS: tuple[Kind, ...] = ("anomaly", "data_quality", "silence", "drift")
Priority = Literal["low", "medium", "high", "critical"]
PRIORITIES: tuple[Priority, ...] = ("low", "medium", "high", "critical")
Consequence = Literal["minor", "major", "severe"]
Respond = Literal["later", "soon", "now"]

PRIORITY: dict[tuple[Consequence, Respond], Priority] = {
    ("minor", "later"): "low",
    ("minor", "soon"): "low",
    ("minor", "now"): "medium",
    ("major", "later"): "low",
    ("major", "soon"): "medium",
    ("major", "now"): "high",
    ("severe", "later"): "medium",
    ("severe", "soon"): "high",
    ("severe", "now"): "critical",
}
"""From how bad it is if nobody responds, and how long there is to respond: later is more than half
an hour, soon 5 to 30 minutes, now less than 5 minutes."""

SECOND_HAND: frozenset[Kind] = frozenset({"data_quality", "drift"})
"""Kinds that say something of the measurement: one step less urgent than the machine itself."""

SILENCE_LEAST_SECONDS = 60.0
SILENCE_INTERVALS = 20
SILENCE_ROWS = 100
"""Only a source that has sent so many rows is expected to go on, unless a rule says after how
long."""

Count = Annotated[int, msgspec.Meta(ge=1, le=MOST_VERDICTS)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=31 * 86_400)]


class Verdicts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Begins after `begin` of the last `of` verdicts, ends after `end` normal ones in a row."""

    begin: Count = 3
    of: Count = 5
    end: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 10

    def __post_init__(self) -> None:
        if self.begin > self.of:
            raise ValueError(f"begin is {self.begin} and of is {self.of}; of must not be smaller")


class Quality(Verdicts, frozen=True, forbid_unknown_fields=True):
    """Also how many equal values in a row make a lively sensor a stuck one; 0 for never."""

    stuck: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 300


class Silence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """After how long a source is silent; `null` learns it from the source, 0 never."""

    seconds: Seconds | None = None


class WarmUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For so long after a pause of `after_pause` seconds no alarm begins."""

    seconds: Seconds = 10.0
    after_pause: Seconds = 600.0


class Chatter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An alarm that begins so often within so many seconds chatters."""

    begins: Annotated[int, msgspec.Meta(ge=2, le=100)] = 3
    seconds: Annotated[float, msgspec.Meta(gt=0, le=31 * 86_400)] = 600.0


Tags = tuple[Annotated[str, msgspec.Meta(min_length=1)], ...]


class Notify(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to tell of which kind, by the tags of the notification channels, from which priority on;
    and whether an anomaly of this source may stop the line."""

    anomaly: Tags = ("maintenance",)
    data_quality: Tags = ("quality",)
    silence: Tags = ("maintenance",)
    drift: Tags = ("quality",)
    from_priority: Priority = "low"
    line_stop: bool = False


class SourceRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rules of one source."""

    consequence: Consequence = "major"
    respond: Respond = "soon"
    anomaly: Verdicts = Verdicts()
    data_quality: Quality = Quality()
    silence: Silence = Silence()
    drift: Verdicts = Verdicts()
    warm_up: WarmUp = WarmUp()
    chatter: Chatter = Chatter()
    suppressed: tuple[Kind, ...] = ()
    notify: Notify = Notify()

    def rule(self, kind: Kind) -> Rule:
        """The rule of one kind, for the machine."""
        said = Verdicts(1, 1, 1) if kind == "silence" else getattr(self, kind)
        return Rule(
            begin=said.begin,
            of=said.of,
            end=said.end,
            chatter_begins=self.chatter.begins,
            chatter_seconds=self.chatter.seconds,
        )

    def priority(self, kind: Kind) -> Priority:
        """How urgent an alarm of this kind is."""
        priority = PRIORITY[self.consequence, self.respond]
        if kind not in SECOND_HAND:
            return priority
        return PRIORITIES[max(0, PRIORITIES.index(priority) - 1)]

    def silent_after(self, source: str, rows: int, interval: float) -> float | None:
        """After how many seconds without a row the source is silent; None: never."""
        seconds = self.silence.seconds
        if seconds is not None:
            return seconds or None
        if source == "default" or rows < SILENCE_ROWS:  # `default` is nobody in particular
            return None
        return max(SILENCE_LEAST_SECONDS, SILENCE_INTERVALS * interval)


class Rules:
    """The rules of all sources."""

    def __init__(
        self,
        default: SourceRules | None = None,
        sources: dict[str, SourceRules] | None = None,
    ) -> None:
        self.default = default or SourceRules()
        self.sources = dict(sources or {})

    def of(self, source: str) -> SourceRules:
        """The rules of one source."""
        return self.sources.get(source, self.default)


def read_rules(file: Path | None) -> Rules:
    """The rules in a YAML or JSON file; raises ConfigurationError naming what is wrong in it."""
    if file is None:
        return Rules()
    import yaml  # most services have no such file, and start sooner without

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"KIZASHI_ALARM_RULES is '{file}' and cannot be read ({error}); a YAML or JSON file of "
            "rules is needed"
        ) from error
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise ConfigurationError(f"KIZASHI_ALARM_RULES: {file} is not YAML: {told}") from error
    return rules_of(content, str(file))


def rules_of(content: Any, name: str) -> Rules:
    """`{"default": {...}, "sources": {NAME: {...}}}`; a source changes what it names of the
    default. Raises ConfigurationError."""
    if not isinstance(content, dict) or set(content) - {"default", "sources"}:
        raise ConfigurationError(f"{name}: 'default' and 'sources' are known, and nothing else")
    default, sources = content.get("default") or {}, content.get("sources") or {}
    if not isinstance(default, dict) or not isinstance(sources, dict):
        raise ConfigurationError(
            f"{name}: 'default' and 'sources' have names and values below them"
        )
    whole = _read(default, f"{name}: default")
    if whole.notify.line_stop:
        raise ConfigurationError(
            f"{name}: default: 'line_stop' is true, and would let whatever names itself in a "
            "request stop a line; say it below 'sources', for each source that may"
        )
    read = {}
    for source, own in sources.items():
        if not isinstance(own or {}, dict):
            raise ConfigurationError(f"{name}: source '{source}' has names and values below it")
        read[str(source)] = _read(_merged(default, own or {}), f"{name}: source '{source}'")
    return Rules(whole, read)


def _merged(default: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    merged = default | own
    for key, value in own.items():
        below = default.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            merged[key] = below | value
    return merged


def _read(content: dict[str, Any], place: str) -> SourceRules:
    try:
        return msgspec.convert(content, SourceRules)
    except (msgspec.ValidationError, ValueError) as error:
        told = re.sub(r" - at `\$\.?(.*)`$", r" (\1)", str(error))
        raise ConfigurationError(f"{place}: {told}") from error
