"""`python -m serving`: the service under uvicorn, as the settings say."""

import argparse
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Sequence

from kizashi.errors import ConfigurationError
from kizashi.terminal import quiet_when_unread
from serving import sagemaker
from serving.access import loopback
from serving.following.cache import Cache
from serving.history.service import check_history
from serving.keys.file import CREATE, KeyFile
from serving.processes import serve
from serving.settings import Settings, read_settings, unknown

EVERYWHERE = {"0.0.0.0", "::"}
EPILOG = "Settings are environment variables, KIZASHI_PORT=8001 for one; docs/settings.md has all."


@quiet_when_unread()
def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status; a wrong setting ends with one sentence."""
    parser = argparse.ArgumentParser(prog="python -m serving", description=__doc__, epilog=EPILOG)
    parser.add_argument(
        "--check", action="store_true", help="only see whether the service could start there"
    )
    parser.add_argument(
        "command", nargs="?", choices=["serve"], help="serve: as SageMaker starts a container"
    )
    given = parser.parse_args(arguments)
    only_check: bool = given.check
    if given.command == "serve":
        sagemaker.prepare(os.environ)
    try:
        settings = read_settings()
        check_address(settings.host, settings.port)
        check_keys(settings)
        check_history(settings)
        check_notifications(settings)
        if not only_check:
            Cache(settings.cache, settings.key).create()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not only_check:
        for name in unknown(os.environ):
            sys.stderr.write(f"{name} is set and is no setting; docs/settings.md lists them\n")
        where = address(settings)
        sys.stdout.write(f"Kizashi on {where} (API: {where}/docs). Ctrl-C ends it.\n")
        sys.stdout.flush()
        serve(settings)
    return 0


def address(settings: Settings) -> str:
    """Where a browser on this machine finds the service."""
    host = "127.0.0.1" if settings.host in EVERYWHERE else settings.host
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def check_address(host: str, port: int) -> None:
    """See whether the address can be taken; raises ConfigurationError with the way out if not."""
    other = port + 1 if port < 65535 else port - 1
    if port < 1024:
        other = 8001
    way_out = f"PORT={other} make serve"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"KIZASHI_HOST is '{host}'; an address of this machine is needed, like 127.0.0.1"
        ) from error
    family, kind, protocol, _, place = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except PermissionError as error:
            raise ConfigurationError(
                f"port {port} on {host} is for the system's own services; choose another with: "
                f"{way_out}"
            ) from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ConfigurationError(
                    f"KIZASHI_HOST is '{host}'; an address of this machine is needed, like "
                    "127.0.0.1"
                ) from error
            raise ConfigurationError(
                f"port {port} on {host} is taken; end what uses it, or choose another with: "
                f"{way_out}"
            ) from error


def check_keys(settings: Settings) -> None:
    """See whether nobody is let in whom nobody meant to; raises ConfigurationError with the ways
    out if not."""
    keys = KeyFile(settings.keys_file).read()
    named = "keys_file" in settings.model_fields_set
    if named and keys is None:
        raise ConfigurationError(
            f"KIZASHI_KEYS_FILE is '{settings.keys_file}', and there is no such file; create a key "
            f"with '{CREATE}', or unset the variable to serve without keys"
        )
    if keys or named or settings.allow_anonymous:
        return
    found = socket.getaddrinfo(settings.host, settings.port, flags=socket.AI_PASSIVE)
    if not all(loopback(str(place[0])) for *_, place in found):
        raise ConfigurationError(
            f"KIZASHI_HOST is '{settings.host}', which others can reach, and there is no key; "
            f"create one with '{CREATE}', or let everybody in with KIZASHI_ALLOW_ANONYMOUS=true"
        )


def check_notifications(settings: Settings) -> None:
    """See whether alarms could be told as configured; raises ConfigurationError if not.

    In a process of its own: this one would carry Apprise along for ever.
    """
    if settings.notify_config is None:
        return
    asked = subprocess.run(
        [sys.executable, "-m", "serving.attendant", "--check"],
        check=False,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        text=True,
    )
    if asked.returncode != 0:
        raise ConfigurationError(asked.stderr.strip())


if __name__ == "__main__":
    sys.exit(main())
