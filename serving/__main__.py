"""`python -m serving`: the service under uvicorn, as the settings say."""

import argparse
import copy
import errno
import socket
import sys
from collections.abc import Sequence
from typing import Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG

from kizashi.errors import ConfigurationError
from serving.cache import Cache
from serving.settings import Settings, read_settings

GRACE_SECONDS = 10
EVERYWHERE = {"0.0.0.0", "::"}
EPILOG = "Settings are environment variables, KIZASHI_PORT=8001 for one; docs/settings.md has all."


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status; a wrong setting ends with one sentence."""
    parser = argparse.ArgumentParser(prog="python -m serving", description=__doc__, epilog=EPILOG)
    parser.add_argument(
        "--check", action="store_true", help="only see whether the address can be taken"
    )
    only_check: bool = parser.parse_args(arguments).check
    try:
        settings = read_settings()
        check_address(settings.host, settings.port)
        if not only_check:
            Cache(settings.cache, settings.key).create()
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not only_check:
        where = address(settings)
        sys.stdout.write(f"Kizashi on {where} (API: {where}/docs). Ctrl-C ends it.\n")
        sys.stdout.flush()
        serve(settings)
    return 0


def serve(settings: Settings) -> None:
    """Run until a signal ends it; requests under way are answered first."""
    uvicorn.run(
        "serving.main:app",
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        access_log=False,
        log_config=log_config(),
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )


def log_config() -> dict[str, Any]:
    """Uvicorn's own, without what only its authors need to know, and with the service's own log."""
    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["uvicorn"]["level"] = "WARNING"
    config["loggers"]["uvicorn.error"]["level"] = "WARNING"
    config["loggers"]["serving"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    return config


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


if __name__ == "__main__":
    sys.exit(main())
