"""Sends what waits, channel by channel, each in a thread of its own: none delays another.

At least once, and of each priority in order: a channel's next message waits until the one before
has arrived or was given up, so nobody reads that an alarm ended before reading that it began. A
stop goes first.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
from sqlalchemy import Connection

from serving.alarms.rules import Rules
from serving.errors import HistoryUnavailable
from serving.history.database import Database
from serving.history.record import MICROSECONDS
from serving.notify import deliveries
from serving.notify.ages import Ages, Allowance, Pauses
from serving.notify.channels import Channel, NotDelivered
from serving.notify.deliveries import Delivery, Done
from serving.notify.message import (
    STOP_LASTS_SECONDS,
    TEST_LASTS_SECONDS,
    Language,
    Message,
    message,
    summary,
)
from serving.notify.routes import routes
from serving.notify.tally import GONE, Tally

FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 300.0
LOOK_SECONDS = 0.5
NEW_SECONDS = 0.15
"""Between two looks for new steps, which wake the channels: the one look that alarms wait for."""
IDLE_SECONDS = 5.0
"""A channel that nothing waits for is woken, and looks by itself only to be sure."""
MOST_SUMMED = 200
MOST_AGES = 10_000
"""Beyond so many steps those that wait no more are forgotten."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manners:
    """How messages are sent: `per_minute` bounds what people get of critical and high alarms, and
    as many of the others; `hours` is how long one is tried."""

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
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.database = database
        self.rules = rules
        self.channels = tuple(channels)
        self.manners = manners or Manners()
        self._clock, self._ticks = clock, ticks
        self.tally = Tally(channels)
        self._abandoned = False
        self._ages = Ages(clock, ticks)
        self._pauses = {channel.id: Pauses(clock, ticks) for channel in channels}
        self._allowances: dict[str, dict[bool, Allowance]] = {}

    def route(self) -> int:
        """Make deliveries of new steps; says of how many. Raises HistoryUnavailable."""
        begun = self._ticks()
        with self.database.read() as connection:
            if self._abandoned and not deliveries.untaken(connection):
                self._ages.looked(begun)
                return 0
        if not self._abandoned:
            self._abandon()
        with self.database.write() as connection:
            now = self._now()
            steps = deliveries.untaken(connection)
            for step in steps:
                self._ages.new(step.id, step.created)
                found = routes(step.payload, self.rules, self.channels)
                wanted = [(channel.id, channel.name, stops) for channel, stops in found]
                deliveries.take(connection, step, wanted, now)
            if len(self._ages) > MOST_AGES:
                self._ages.keep(deliveries.waiting_steps(connection))
        if len(steps) < deliveries.TAKEN_AT_ONCE:
            self._ages.looked(begun)
        return len(steps)

    def _abandon(self) -> None:
        """Give up what the configuration no longer has a channel for; once this is committed, no
        more of it can come."""
        with self.database.write() as connection:
            known = {one.id for one in self.channels}
            gone, stops = deliveries.abandon(connection, known, self._now())
        self._abandoned = True
        if gone:
            log.warning("%s notifications were for channels that are gone", gone)
            self.tally.done(GONE, "given_up", gone, stops)

    def serve(self, channel: Channel) -> float:
        """Send what is due to one channel; says after how many seconds to look again.

        Raises HistoryUnavailable; what was sent meanwhile may be sent once more then, with the same
        key.
        """
        with self.database.read() as connection:
            found = deliveries.waiting(connection, channel.id, MOST_SUMMED)
            allowances = self._allowances_of(connection, channel)
        self._pauses[channel.id].keep({one.id for one in found})
        found = self._without_old(channel, found)
        if not found:
            return IDLE_SECONDS
        if found[0].stops or found[0].test or channel.machine:
            return self._send(channel, found[:1])
        for loud, allowance in allowances.items():
            mine = [one for one in found if one.loud is loud]
            if mine and allowance.left > 0:
                if len(mine) > allowance.left:
                    return self._send(channel, mine, allowance)
                return self._send(channel, mine[:1], allowance)
        return LOOK_SECONDS

    def _allowances_of(self, connection: Connection, channel: Channel) -> dict[bool, Allowance]:
        """What people may still get, loud messages first; begun with what they were sent before
        this process was there."""
        if channel.id not in self._allowances:
            made = {loud: Allowance(self.manners.per_minute, self._ticks) for loud in (True, False)}
            now = self._now()
            since = now - 60 * MICROSECONDS
            for done, loud in deliveries.sent_between(connection, channel.id, since, now):
                made[loud].spend((now - done) / MICROSECONDS)
            self._allowances[channel.id] = made
        return self._allowances[channel.id]

    def _without_old(self, channel: Channel, found: list[Delivery]) -> list[Delivery]:
        """Give up what is too old to be told, and return the rest."""
        old = [one for one in found if self._ages.age(one.step, one.created) > self._lasts(one)]
        if not old:
            return found
        with self.database.write() as connection:
            # Why it did not get through says more than that it is too late now.
            for tried, problem in ((True, None), (False, "too old")):
                ids = [one.id for one in old if bool(one.attempts) is tried]
                deliveries.close(connection, ids, "given_up", self._now(), problem)
        log.error("%s notifications to %s were given up", len(old), channel.name)
        for one in old:
            self._count(one, "given_up")
            if one.stops:
                log.error("%s was NOT asked to stop %s", channel.name, one.payload.source)
        return [one for one in found if one not in old]

    def _lasts(self, delivery: Delivery) -> float:
        if delivery.test:
            return TEST_LASTS_SECONDS
        return STOP_LASTS_SECONDS if delivery.stops else 3600 * self.manners.hours

    def _send(
        self, channel: Channel, wanted: list[Delivery], allowance: Allowance | None = None
    ) -> float:
        """One message, of one delivery or summing up several."""
        first, ids = wanted[0], [one.id for one in wanted]
        wait = self._pauses[channel.id].left(first.id, first.due, pause_after(first))
        if wait > 0:
            return min(wait, LOOK_SECONDS)
        if self.manners.dry_run:
            for one in wanted:
                log.info("dry run: %s would get: %s", channel.name, self._message(one).title)
            with self.database.write() as connection:
                deliveries.close(connection, ids, "unsent", self._now(), "a dry run")
            for one in wanted:
                self._count(one, "unsent")
            return 0.0
        messages = [self._message(one) for one in wanted]
        told = messages[0]
        if len(messages) > 1:
            told = summary(messages, f"{first.key}-{wanted[-1].id}", self.manners.language)
        try:
            channel.send(told)
        except NotDelivered as error:
            if first.test:  # somebody is waiting for the answer, and can ask again
                with self.database.write() as connection:
                    deliveries.close(connection, ids, "given_up", self._now(), str(error)[:500])
                return 0.0
            self._postpone(channel, first, str(error))
            return LOOK_SECONDS
        if allowance is not None:
            allowance.spend()
        with self.database.write() as connection:
            deliveries.close(connection, ids[:1], "sent", self._now())
            if ids[1:]:
                deliveries.close(connection, ids[1:], "summed", self._now())
        for place, one in enumerate(wanted):
            self._count(one, "summed" if place else "sent")
        return 0.0

    def _count(self, delivery: Delivery, outcome: Done) -> None:
        if not delivery.test:
            self.tally.done(delivery.channel, outcome, stops=int(delivery.stops))

    def waiting(self) -> list[tuple[str, int, float]]:
        """Of each channel how many wait, and for how many seconds the oldest has; raises
        HistoryUnavailable."""
        with self.database.read() as connection:
            found = {row[0]: row[1:] for row in deliveries.oldest_waiting(connection)}
        told = []
        for one in self.channels:
            count, step, created = found.get(one.id, (0, None, 0))
            age = 0.0 if step is None else self._ages.age(step, created)
            told.append((one.id, count, age))
        return told

    def _message(self, delivery: Delivery) -> Message:
        # With a key of its own for each receiver, which may drop what it has seen.
        payload = msgspec.structs.replace(delivery.payload, key=delivery.key)
        manners = self.manners
        return message(payload, manners.language, manners.address, stops=delivery.stops)

    def _postpone(self, channel: Channel, tried: Delivery, problem: str) -> None:
        pause = pause_after(replace(tried, attempts=tried.attempts + 1))
        self.tally.failed(channel.id)
        if tried.attempts == 0:
            log.warning("%s did not take a notification: %s", channel.name, problem)
        self._pauses[channel.id].begin(tried.id, pause)
        with self.database.write() as connection:
            now = self._now()
            due = now + round(pause * MICROSECONDS)
            deliveries.postpone(connection, [tried.id], due, now, problem[:500])

    def _now(self) -> int:
        return round(self._clock() * MICROSECONDS)


def pause_after(delivery: Delivery) -> float:
    """How long to wait, in seconds, after so many attempts; a stop has no time to lose."""
    if delivery.attempts == 0:
        return 0.0
    if delivery.stops:
        return FIRST_RETRY_SECONDS
    longer = 2.0 ** min(delivery.attempts - 1, 16)
    return min(FIRST_RETRY_SECONDS * longer, LONGEST_RETRY_SECONDS)


class Dispatching:
    """The threads that run a dispatcher until closed; `allowed` says whether this process may."""

    def __init__(self, dispatcher: Dispatcher, allowed: Callable[[], bool]) -> None:
        self._dispatcher = dispatcher
        self._allowed = allowed
        self._closed = threading.Event()
        self._look_again = threading.Event()
        self._wakes = {channel.id: threading.Event() for channel in dispatcher.channels}
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
        self._look_again.set()
        self._wake()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _route(self) -> None:
        def once() -> float:
            if not self._dispatcher.route():
                return NEW_SECONDS
            self._wake()
            return 0.0

        # Who may send no more is to know it at once.
        self._again(once, self._look_again, self._wake)

    def _wake(self) -> None:
        for wake in self._wakes.values():
            wake.set()

    def _serve(self, channel: Channel) -> None:
        """Be there for as long as this process may send, whether or not there is anything to."""

        def once() -> float:
            channel.open()
            return self._dispatcher.serve(channel)

        try:
            self._again(once, self._wakes[channel.id], channel.close)
        finally:
            channel.close()

    def _again(
        self, once: Callable[[], float], wake: threading.Event, idle: Callable[[], None]
    ) -> None:
        """Run `once` until closed, each time after as long as it says, or when woken; `idle` where
        this process may not send."""
        pause, problem = 0.0, ""
        while not self._closed.is_set():
            wake.wait(pause)
            if self._closed.is_set():
                return
            wake.clear()
            pause = LOOK_SECONDS
            try:
                if not self._allowed():
                    idle()
                    continue
                pause, problem = once(), ""
            except HistoryUnavailable as error:
                if str(error) != problem:
                    log.warning("notifications wait: %s", error)
                problem, pause = str(error), 2.0
            except Exception:  # what is waiting must not wait for ever for what nobody foresaw
                log.exception("notifications met what they did not expect")
                pause = 10.0
