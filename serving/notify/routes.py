"""Which channels hear of which step of an alarm: by tags, as in Apprise's configuration.

A line stop is asked for by nobody but a source whose rules say `line_stop: true`, once, when an
anomaly alarm begins; only channels with the tag `line_stop` get it, and they get nothing else by
that tag.
"""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from serving.alarms.desk import Payload
from serving.alarms.rules import PRIORITIES, Rules
from serving.notify.message import LINE_STOP, TEST

TOLD = frozenset({"began", "ended", "chattering"})
"""Steps that people are told of."""
BACK = frozenset(
    {"unshelved", "shelf_expired", "in_service", "service_window_over", "unsuppressed"}
)
"""Steps that are told of where an alarm that nobody has acknowledged comes back by them."""


class Tagged(Protocol):
    """A channel, as far as routing looks at it."""

    @property
    def tags(self) -> frozenset[str]: ...
    @property
    def machine(self) -> bool: ...


ChannelT = TypeVar("ChannelT", bound=Tagged)


def routes(
    payload: Payload, rules: Rules, channels: Iterable[ChannelT]
) -> list[tuple[ChannelT, bool]]:
    """The channels that get a message of this step, and whether it asks for a line stop.

    Machines are told of every step that people can see; people of those that matter to them. A test
    goes to the channels of its tag, and never asks for a stop.
    """
    if payload.event == TEST:
        return [(channel, False) for channel in channels if payload.tag in channel.tags]
    notify = rules.of(payload.source).notify
    wanted = frozenset(getattr(notify, payload.kind))
    loud = PRIORITIES.index(payload.priority) >= PRIORITIES.index(notify.from_priority)
    matters = payload.event in TOLD or (payload.event in BACK and payload.state == "unacknowledged")
    stops = (
        notify.line_stop
        and payload.kind == "anomaly"
        and payload.event == "began"
        and payload.state == "unacknowledged"
    )
    found: list[tuple[ChannelT, bool]] = []
    for channel in channels:
        if stops and LINE_STOP in channel.tags:
            found.append((channel, True))
        elif loud and wanted & channel.tags and (matters or channel.machine):
            found.append((channel, False))
    return found
