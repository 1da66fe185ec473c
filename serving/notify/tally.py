"""What the process that sends counts of notifications, for `figures`."""

from collections.abc import Sequence

from serving.metrics.families import LINE_STOPS, NOTIFICATION_FAILURES, NOTIFICATIONS
from serving.notify.board import Named
from serving.notify.deliveries import Done
from serving.notify.figures import Values
from serving.notify.message import LINE_STOP

GONE = "gone"
"""Stands for channels that the configuration no longer has."""
OUTCOMES: tuple[Done, ...] = ("sent", "summed", "unsent", "given_up")


class Tally:
    """What became of notifications since this process began; tests are not counted.

    Each channel is counted by its own thread alone. All that can be counted is there from the
    start, at zero: a counter that appears with its first event has no increase.
    """

    def __init__(self, channels: Sequence[Named]) -> None:
        self.names = {one.id: one.name for one in channels} | {GONE: GONE}
        stopping = [one.id for one in channels if LINE_STOP in one.tags] + [GONE]
        self._done = {(one, outcome): 0 for one in self.names for outcome in OUTCOMES}
        self._stops = {(one, outcome): 0 for one in stopping for outcome in OUTCOMES}
        self._failures = dict.fromkeys(self.names, 0)

    def done(self, channel: str, outcome: Done, count: int = 1, stops: int = 0) -> None:
        """So many have come to their end, of which so many asked for a line stop."""
        self._done[channel, outcome] += count
        if stops:
            self._stops[channel, outcome] = self._stops.get((channel, outcome), 0) + stops

    def failed(self, channel: str) -> None:
        """An attempt did not get through."""
        self._failures[channel] += 1

    def counters(self) -> dict[str, Values]:
        """By the names of the families."""
        return {
            NOTIFICATIONS.name: self._told(self._done),
            LINE_STOPS.name: self._told(self._stops),
            NOTIFICATION_FAILURES.name: [
                ((one, self.names[one]), float(count)) for one, count in self._failures.items()
            ],
        }

    def _told(self, counts: dict[tuple[str, Done], int]) -> Values:
        return [
            ((channel, self.names[channel], outcome), float(count))
            # A stop that waited when its channel lost the tag comes in between.
            for (channel, outcome), count in counts.copy().items()
        ]
