"""Where messages go: the services of an Apprise configuration file, two of them our own.

Apprise's file names services by URL and tags; `signed://`, `signeds://`, `gateway://` and `gateways://`
are registered with it here, so that one file has all. A channel sends one message and returns, or
raises NotDelivered; it keeps no message.
"""

import hashlib
import logging
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apprise
from apprise.manager_plugins import NotificationManager

from kizashi.errors import ConfigurationError, KizashiError
from serving.notify.gateway import LineGateway
from serving.notify.message import Message
from serving.notify.signed import SignedWebhook

OWN = {
    "signed": SignedWebhook,
    "signeds": SignedWebhook,
    "gateway": LineGateway,
    "gateways": LineGateway,
}


ADDRESS = re.compile(r"(\w+://)\S+")


class NotDelivered(KizashiError):
    """A channel could not deliver a message; it is tried again later."""


class Channel(ABC):
    """One receiver. `id` stays the same as long as its line in the configuration does, and has
    nothing secret in it, no more than `name`, which people see."""

    machine: bool

    def __init__(self, service: apprise.NotifyBase) -> None:
        # Apprise's own id leaves out to whom a mail goes; the rest of an address has defaults.
        told = f"{service.url_id()} {service.url(privacy=False).partition('?')[0]}"
        self.id = hashlib.sha256(told.encode()).hexdigest()[:32]
        self.name = f"{service.service_name} {service.url(privacy=True).partition('?')[0]}"
        self.tags = frozenset(str(tag) for tag in service.tags)

    @abstractmethod
    def open(self) -> None:
        """Be there, where that says something to the receiver; waits for nothing."""

    @abstractmethod
    def send(self, message: Message) -> None:
        """Deliver; raises NotDelivered with a reason that has no secrets in it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is open."""


class People(Channel):
    """A service that people read: mail, chat, a pager."""

    machine = False

    def __init__(self, service: apprise.NotifyBase) -> None:
        super().__init__(service)
        self._service = service

    def open(self) -> None:
        """Nothing is open between two messages."""

    def send(self, message: Message) -> None:
        kind = apprise.NotifyType.FAILURE if message.urgent else apprise.NotifyType.WARNING
        with _told() as reasons:
            try:
                sent = self._service.notify(
                    body=message.body, title=message.title, notify_type=kind
                )
            except Exception as error:  # a hundred services, each with errors of its own
                raise NotDelivered(f"{type(error).__name__}") from error
        if not sent:
            raise NotDelivered("; ".join(reasons[-2:]) or "the service did not take it")

    def close(self) -> None:
        """Nothing stays open."""


class Machine(Channel):
    """A receiver of our own documents."""

    machine = True

    def __init__(self, service: SignedWebhook | LineGateway) -> None:
        super().__init__(service)
        self._service = service

    def open(self) -> None:
        self._service.open()

    def send(self, message: Message) -> None:
        try:
            self._service.deliver(message)
        except Exception as error:  # whatever a network or a broker comes up with
            raise NotDelivered(f"{type(error).__name__}: {error}"[:200]) from error

    def close(self) -> None:
        self._service.close()


def read_channels(file: Path) -> list[Channel]:
    """The channels of an Apprise configuration; raises ConfigurationError for one that is not.

    A line that Apprise cannot read would otherwise be a message that nobody gets.
    """
    register()
    if not file.is_file():
        raise ConfigurationError(
            f"KIZASHI_NOTIFY_CONFIG is '{file}', where no file is; an Apprise configuration is "
            "needed"
        )
    with _told() as problems:
        config = apprise.AppriseConfig()
        config.add(str(file))
        services = list(config.services())
    if problems:
        raise ConfigurationError(f"KIZASHI_NOTIFY_CONFIG: {file}: {'; '.join(problems[:3])}")
    if not services:
        raise ConfigurationError(f"KIZASHI_NOTIFY_CONFIG: {file} names no service")
    channels: dict[str, Channel] = {}
    for service in services:
        own = isinstance(service, SignedWebhook | LineGateway)
        channel: Channel = Machine(service) if own else People(service)
        if channel.id in channels:
            raise ConfigurationError(
                f"KIZASHI_NOTIFY_CONFIG: {file} names {channel.name} twice; give one line all tags"
            )
        channels[channel.id] = channel
    return list(channels.values())


def register() -> None:
    """Make our own services known to Apprise."""
    manager = NotificationManager()
    for schema, plugin in OWN.items():
        if schema not in manager:
            manager.add(plugin, schemas=schema)


@contextmanager
def _told() -> Iterator[list[str]]:
    """What Apprise complains of meanwhile, in this thread: it says so to its log and returns
    False."""
    complaints: list[str] = []
    thread = threading.get_ident()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                complaints.append(ADDRESS.sub(r"\1…", record.getMessage())[:200])

    listener = Listener(logging.WARNING)
    log = logging.getLogger("apprise")
    log.propagate = False  # it quotes addresses, and those have passwords in them
    log.addHandler(listener)
    try:
        yield complaints
    finally:
        log.removeHandler(listener)
