"""Sends what waits, channel by channel, each in a thread of its own: none delays another.

At least once, and in order: a channel's next message waits until the one before has arrived or was
given up, so nobody reads that an alarm ended before reading that it began. A stop goes first.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from serving.alarms.rules import Rules
from serving.errors import HistoryUnavailable
from serving.history.database import Database
from serving.history.record import MICROSECONDS
from serving.notify import deliveries
from serving.notify.channels import Channel, NotDelivered
from serving.notify.deliveries import Delivery
from serving.notify.message import (
    STOP_LASTS_SECONDS,
    TEST_LASTS_SECONDS,
    Language,
    Message,
    message,
    summary,
)
from serving.notify.routes import routes

FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 300.0
LOOK_SECONDS = 0.5
MOST_SUMMED = 200

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manners:
    """How messages are sent: `per_minute` bounds what people get, `hours` how long one is tried."""

    language: Language = "en"
    address: str | None = None
    per_minute: int = 20
    hours: float = 24.0
    dry_run: bool = False


class Dispatcher:
    """Routes the steps of alarms to deliveries, and sees to it that they arrive."""

    def __init__(
        self,
        database: Database,
        rules: Rules,
        channels: Sequence[Channel],
        manners: Manners | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self.rules = rules
        self.channels = tuple(channels)
        self.manners = manners or Manners()
        self._clock = clock
        self._abandoned = False

    def route(self) -> int:
        """Make deliveries of new steps; says of how many. Raises HistoryUnavailable."""
        with self.database.read() as connection:
            if self._abandoned and not deliveries.untaken(connection):
                return 0
        with self.database.write() as connection:
            now = self._now()
            if not self._abandoned:
                gone = deliveries.abandon(connection, [one.id for one in self.channels], now)
                if gone:
                    log.warning("%s notifications were for channels that are gone", gone)
                self._abandoned = True
            steps = deliveries.untaken(connection)
            for step in steps:
                found = routes(step.payload, self.rules, self.channels)
                wanted = [(channel.id, channel.name, stops) for channel, stops in found]
                deliveries.take(connection, step, wanted, now)
        return len(steps)

    def serve(self, channel: Channel) -> float:
        """Send what is due to one channel; says after how many seconds to look again.

        Raises HistoryUnavailable; what was sent meanwhile may be sent once more then, with the same
        key.
        """
        with self.database.read() as connection:
            found = deliveries.waiting(connection, channel.id, MOST_SUMMED)
            since = self._now() - 60 * MICROSECONDS
            sent = deliveries.sent_since(connection, channel.id, since)
        found = self._without_old(found)
        if not found:
            return LOOK_SECONDS
        first = found[0]
        if not (first.stops or first.test or channel.machine):
            if sent >= self.manners.per_minute:
                return LOOK_SECONDS
            if len(found) > self.manners.per_minute - sent:
                return self._send(channel, found, summed=True)
        wait = (first.due - self._now()) / MICROSECONDS
        if wait > 0:
            return min(wait, LOOK_SECONDS)
        return self._send(channel, [first])

    def _without_old(self, found: list[Delivery]) -> list[Delivery]:
        """Give up what is too old to be told, and return the rest."""
        now = self._now()
        old = [one for one in found if (now - one.created) / MICROSECONDS > self._lasts(one)]
        if old:
            with self.database.write() as connection:
                deliveries.close(connection, [one.id for one in old], "given_up", now, "too old")
            log.error("%s notifications to %s were given up", len(old), old[0].channel)
        return [one for one in found if one not in old]

    def _lasts(self, delivery: Delivery) -> float:
        if delivery.test:
            return TEST_LASTS_SECONDS
        return STOP_LASTS_SECONDS if delivery.stops else 3600 * self.manners.hours

    def _send(self, channel: Channel, wanted: list[Delivery], *, summed: bool = False) -> float:
        ids = [one.id for one in wanted]
        if wanted[0].due > self._now():
            return LOOK_SECONDS
        if self.manners.dry_run:
            for one in wanted:
                log.info("dry run: %s would get: %s", channel.name, self._message(one).title)
            with self.database.write() as connection:
                deliveries.close(connection, ids, "unsent", self._now(), "a dry run")
            return 0.0
        messages = [self._message(one) for one in wanted]
        told = messages[0]
        if summed:
            told = summary(messages, f"{wanted[0].key}-{wanted[-1].id}", self.manners.language)
        try:
            channel.send(told)
        except NotDelivered as error:
            if wanted[0].test:  # somebody is waiting for the answer, and can ask again
                with self.database.write() as connection:
                    deliveries.close(connection, ids, "given_up", self._now(), str(error)[:500])
                return 0.0
            self._postpone(channel, wanted, str(error))
            return LOOK_SECONDS
        with self.database.write() as connection:
            deliveries.close(connection, ids[:1], "sent", self._now())
            if ids[1:]:
                deliveries.close(connection, ids[1:], "summed", self._now())
        return 0.0

    def _message(self, delivery: Delivery) -> Message:
        # With a key of its own for each receiver, which may drop what it has seen.
        payload = msgspec.structs.replace(delivery.payload, key=delivery.key)
        manners = self.manners
        return message(payload, manners.language, manners.address, stops=delivery.stops)

    def _postpone(self, channel: Channel, wanted: list[Delivery], problem: str) -> None:
        attempts = wanted[0].attempts + 1
        pause = min(FIRST_RETRY_SECONDS * 2 ** (attempts - 1), LONGEST_RETRY_SECONDS)
        if wanted[0].stops:
            pause = FIRST_RETRY_SECONDS
        if attempts == 1:
            log.warning("%s did not take a notification: %s", channel.name, problem)
        with self.database.write() as connection:
            now = self._now()
            due = now + round(pause * MICROSECONDS)
            deliveries.postpone(connection, [wanted[0].id], due, now, problem[:500])

    def _now(self) -> int:
        return round(self._clock() * MICROSECONDS)


class Dispatching:
    """The threads that run a dispatcher until closed; `allowed` says whether this process may."""

    def __init__(self, dispatcher: Dispatcher, allowed: Callable[[], bool]) -> None:
        self._dispatcher = dispatcher
        self._allowed = allowed
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._route, name="routes", daemon=True)]
        self._threads += [
            threading.Thread(target=self._serve, args=(channel,), name=channel.id, daemon=True)
            for channel in dispatcher.channels
        ]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def close(self, seconds: float) -> None:
        """Stop after what is under way, or after so many seconds."""
        self._closed.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for channel in self._dispatcher.channels:
            channel.close()

    def _route(self) -> None:
        self._again(lambda: 0.0 if self._dispatcher.route() else LOOK_SECONDS)

    def _serve(self, channel: Channel) -> None:
        self._again(lambda: self._dispatcher.serve(channel))

    def _again(self, once: Callable[[], float]) -> None:
        pause, problem = 0.0, ""
        while not self._closed.wait(pause):
            pause = LOOK_SECONDS
            if not self._allowed():
                continue
            try:
                pause, problem = once(), ""
            except HistoryUnavailable as error:
                if str(error) != problem:
                    log.warning("notifications wait: %s", error)
                problem, pause = str(error), 2.0
            except Exception:  # what is waiting must not wait for ever for what nobody foresaw
                log.exception("notifications met what they did not expect")
                pause = 10.0
