"""The process that sends notifications: `python -m serving.attendant`.

One runs for each host that has KIZASHI_NOTIFY_CONFIG; among the hosts that share a history one
sends at a time, which holds a lease in the database. A worker starts it, holds its standard input
open, and it ends when that closes. It is the only process that imports Apprise.

`--check` only sees whether the configuration can be used. `--test TAG` sends one message to the
channels with this tag and says what became of it.
"""

import argparse
import logging
import logging.config
import socket
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kizashi.errors import ConfigurationError, KizashiError
from kizashi.terminal import quiet_when_unread
from serving.alarms.desk import SERVICE
from serving.alarms.rules import Rules, read_rules
from serving.companion import end_with_parent
from serving.errors import HistoryUnavailable
from serving.following.follower_lock import take_lock
from serving.history.database import Database, database_url
from serving.history.lease import Lease
from serving.history.record import MICROSECONDS
from serving.logs import log_config
from serving.metrics.families import (
    NOTIFICATIONS_OLDEST,
    NOTIFICATIONS_SENDING,
    NOTIFICATIONS_UNSEEN,
    NOTIFICATIONS_WAITING,
)
from serving.notify import lost
from serving.notify.board import LEASE, LEASE_SECONDS, payload_of_test, publish
from serving.notify.channels import Channel, NotDelivered, read_channels
from serving.notify.dispatcher import Dispatcher, Dispatching, Manners
from serving.notify.figures import Values, leave
from serving.notify.message import message
from serving.settings import Settings, read_settings

RENEW_SECONDS = 3.0
LOOK_SECONDS = 1.0
GRACE_SECONDS = 2.0

log = logging.getLogger("serving.attendant")


class Attendant:
    """The notifications of one host, sent while it holds the lease; this process must hold the
    host's lock, as it is the same holder as the ones before it."""

    def __init__(
        self, settings: Settings, channels: Sequence[Channel], database: Database, rules: Rules
    ) -> None:
        self.database = database
        self.lease = Lease(database, LEASE, LEASE_SECONDS, host(settings.cache))
        self._channels, self._dry_run = channels, settings.notify_dry_run
        self._folder = settings.cache
        self._led = self._shown = False
        self._unwritable = False
        self._known: dict[str, Values] = {}
        self._dispatcher = Dispatcher(database, rules, channels, manners(settings))
        self.dispatching = Dispatching(self._dispatcher, lambda: self.lease.held)

    def run(self) -> None:
        """Hold the lease, or wait for it, until the process ends."""
        self.dispatching.start()
        while True:
            self.renew()
            self.tell()
            time.sleep(RENEW_SECONDS if self.lease.held else LOOK_SECONDS)

    def renew(self) -> None:
        """Take the lease, or hold it for longer; it ends by itself where the database is away."""
        try:
            leads = self.lease.take(round(time.time() * MICROSECONDS))
            if leads and not self._shown:
                with self.database.write() as connection:
                    publish(connection, self._channels, self._dry_run)
                self._shown = True
        except HistoryUnavailable as error:
            log.warning("notifications wait: %s", error)
            leads = self.lease.held
        if leads != self._led:
            log.info("notifications are sent from %s", "here" if leads else "elsewhere")
        self._led, self._shown = leads, self._shown and leads

    def tell(self) -> None:
        """Leave for /metrics what there is to say."""
        gauges: dict[str, Values] = {NOTIFICATIONS_SENDING.name: [((), float(self.lease.held))]}
        if not self.lease.held:
            self._known = {}
        else:
            # What was known stays while the database is away (`renew` says that it is): nothing
            # of it is over because nobody can look.
            with suppress(HistoryUnavailable):
                self._known = self._waiting()
        gauges |= self._known
        try:
            leave(self._folder, self._dispatcher.tally.counters(), gauges)
        except OSError as error:  # a full disk must not keep it from sending
            if not self._unwritable:
                log.error("what /metrics says of notifications cannot be left: %s", error)
            self._unwritable = True
        else:
            self._unwritable = False

    def _waiting(self) -> dict[str, Values]:
        with self.database.read() as connection:
            unseen = lost.unseen(connection)
        waiting = self._dispatcher.waiting()
        names = self._dispatcher.tally.names
        return {
            NOTIFICATIONS_WAITING.name: [((one, names[one]), count) for one, count, _ in waiting],
            NOTIFICATIONS_OLDEST.name: [((one, names[one]), age) for one, _, age in waiting],
            NOTIFICATIONS_UNSEEN.name: [
                ((str(stop).lower(),), float(count)) for stop, count in unseen.items()
            ],
        }

    def close(self) -> None:
        """Let another host go on at once."""
        self.dispatching.close(GRACE_SECONDS)
        try:
            self.lease.release()
        except HistoryUnavailable as error:
            log.warning("the lease runs out by itself: %s", error)


def host(folder: Path) -> str:
    """The name of who holds the lock in this folder, the same after a restart."""
    file = folder / "attendant.id"
    if not file.exists():
        new = folder / "attendant.id.new"
        new.write_text(uuid.uuid4().hex)
        new.replace(file)  # whole, also where the power fails
    return f"{socket.gethostname()}:{file.read_text()}"


def history_of(settings: Settings) -> tuple[Database, Rules]:
    """Where alarms come from, and what their rules are; raises ConfigurationError."""
    url = database_url(settings.database_url, settings.cache)
    if url is None:
        raise ConfigurationError(
            "KIZASHI_NOTIFY_CONFIG is set and KIZASHI_DATABASE_URL is none; notifications come "
            "of alarms, and those need the history"
        )
    return Database(url), read_rules(settings.alarm_rules)


def manners(settings: Settings) -> Manners:
    """How the settings want messages to be sent."""
    return Manners(
        language=settings.notify_language,
        address=settings.public_url,
        per_minute=settings.notify_per_minute,
        hours=settings.notify_hours,
        dry_run=settings.notify_dry_run,
    )


def test_channels(settings: Settings, channels: Sequence[Channel], tag: str) -> int:
    """Send a message that says that it is a test; the exit status is 1 where one did not arrive."""
    payload = payload_of_test(tag, SERVICE, round(time.time() * MICROSECONDS))
    told = message(payload, settings.notify_language, settings.public_url)
    wanted = [channel for channel in channels if tag in channel.tags]
    if not wanted:
        tags = sorted(set().union(*(channel.tags for channel in channels)))
        sys.stderr.write(f"no channel has the tag '{tag}'; there are {', '.join(tags) or 'none'}\n")
        return 1
    failed = 0
    for channel in wanted:
        if settings.notify_dry_run:
            sys.stdout.write(f"{channel.name}: not sent, as KIZASHI_NOTIFY_DRY_RUN is set\n")
            continue
        try:
            channel.send(told)
            sys.stdout.write(f"{channel.name}: sent\n")
        except NotDelivered as error:
            failed = 1
            sys.stdout.write(f"{channel.name}: NOT sent: {error}\n")
        finally:
            channel.close()
    return failed


@quiet_when_unread()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run until the parent is gone, or until Ctrl-C when started by hand."""
    parser = argparse.ArgumentParser(prog="python -m serving.attendant", description=__doc__)
    parser.add_argument("--lock", type=int, help="a descriptor that holds the lock (for workers)")
    parser.add_argument("--test", metavar="TAG", help="send a test message to channels of this tag")
    parser.add_argument("--check", action="store_true", help="only check the configuration")
    asked = parser.parse_args(arguments)
    try:
        settings = read_settings()
        logging.config.dictConfig(log_config(settings.log_format))
        if settings.notify_config is None:
            raise ConfigurationError(
                "KIZASHI_NOTIFY_CONFIG is not set; an Apprise configuration file is needed"
            )
        channels = read_channels(settings.notify_config)
        if asked.test is not None:
            return test_channels(settings, channels, asked.test)
        database, rules = history_of(settings)
    except KizashiError as error:
        if asked.check:
            sys.stderr.write(f"{error}\n")
        else:
            log.error("%s", error)
        return 1
    if asked.check:
        return 0
    if asked.lock is None:
        settings.cache.mkdir(parents=True, exist_ok=True)
        if take_lock(settings.cache / "attendant.lock") is None:
            log.info("another attendant runs already")
            return 0
    attendant = Attendant(settings, channels, database, rules)
    if asked.lock is not None:
        threading.Thread(target=end_with_parent, args=(attendant.close,), daemon=True).start()
    try:
        attendant.run()
    except KeyboardInterrupt:
        attendant.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
