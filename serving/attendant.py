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
import sys
import threading
import time
from collections.abc import Sequence

from kizashi.errors import ConfigurationError, KizashiError
from serving.alarms.desk import SERVICE
from serving.alarms.rules import read_rules
from serving.companion import end_with_parent
from serving.errors import HistoryUnavailable
from serving.following.follower_lock import take_lock
from serving.history.database import Database, database_url
from serving.history.record import MICROSECONDS
from serving.history.retention import Retention
from serving.history.upkeep import Upkeep
from serving.logs import log_config
from serving.notify.board import LEASE, payload_of_test, publish
from serving.notify.channels import Channel, NotDelivered, read_channels
from serving.notify.dispatcher import Dispatcher, Dispatching, Manners
from serving.notify.message import message
from serving.settings import Settings, read_settings

RENEW_SECONDS = 10.0
GRACE_SECONDS = 2.0

log = logging.getLogger("serving.attendant")


class Attendant:
    """The notifications of one host, sent while it holds the lease."""

    def __init__(self, settings: Settings, channels: Sequence[Channel]) -> None:
        url = database_url(settings.database_url, settings.cache)
        if url is None:
            raise ConfigurationError(
                "KIZASHI_NOTIFY_CONFIG is set and KIZASHI_DATABASE_URL is none; notifications come "
                "of alarms, and those need the history"
            )
        rules = read_rules(settings.alarm_rules)
        self.database = Database(url)
        self._upkeep = Upkeep(self.database, rules, Retention())
        self._channels, self._dry_run = channels, settings.notify_dry_run
        self._leads = threading.Event()
        dispatcher = Dispatcher(self.database, rules, channels, manners(settings))
        self.dispatching = Dispatching(dispatcher, self._leads.is_set)

    def run(self) -> None:
        """Hold the lease, or wait for it, until the process ends."""
        self.dispatching.start()
        while True:
            self.renew()
            time.sleep(RENEW_SECONDS if self._leads.is_set() else 1.0)

    def renew(self) -> None:
        """Take the lease, hold it for longer, or stop sending without it."""
        try:
            leads = self._upkeep.lease(LEASE, round(time.time() * MICROSECONDS))
            if leads and not self._leads.is_set():
                with self.database.write() as connection:
                    publish(connection, self._channels, self._dry_run)
        except HistoryUnavailable as error:
            log.warning("notifications wait: %s", error)
            leads = False
        if leads != self._leads.is_set():
            log.info("notifications are sent from %s", "here" if leads else "elsewhere")
            (self._leads.set if leads else self._leads.clear)()

    def close(self) -> None:
        """Let another host go on at once."""
        self._leads.clear()
        self.dispatching.close(GRACE_SECONDS)
        try:
            self._upkeep.release(LEASE)
        except HistoryUnavailable as error:
            log.warning("the lease runs out by itself: %s", error)


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
        attendant = Attendant(settings, channels)
    except KizashiError as error:
        if asked.check:
            sys.stderr.write(f"{error}\n")
        else:
            log.error("%s", error)
        return 1
    if asked.check:
        return 0
    if asked.lock is not None:
        threading.Thread(target=end_with_parent, args=(attendant.close,), daemon=True).start()
    else:
        settings.cache.mkdir(parents=True, exist_ok=True)
        if take_lock(settings.cache / "attendant.lock") is None:
            log.info("another attendant runs already")
            return 0
    try:
        attendant.run()
    except KeyboardInterrupt:
        attendant.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
