"""`python -m serving.keys`: make, list and revoke keys; a running service follows."""

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import get_args

from kizashi.errors import ConfigurationError
from kizashi.terminal import quiet_when_unread
from serving.keys.file import CREATE, KeyFile
from serving.keys.key import Record, Scope, make_key
from serving.settings import read_settings

EPILOG = "The keys are in the file that KIZASHI_KEYS_FILE names; docs/keys.md is the guide."
LONGEST_NAME = 200
LONGEST_DAYS = 36_500
HEAD = ("ID", "NAME", "SCOPES", "CREATED", "EXPIRES", "LIMIT", "STATE")
HIGHEST_LIMIT = 10_000_000


@quiet_when_unread()
def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status; what cannot be done ends with one sentence."""
    asked = _parser().parse_args(arguments)
    try:
        file = KeyFile(read_settings().keys_file)
        if asked.command == "create":
            return _create(file, asked)
        if asked.command == "revoke":
            return _revoke(file, asked.id)
        return _list(file)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _create(file: KeyFile, asked: argparse.Namespace) -> int:
    expires = None
    if asked.expires is not None:
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=asked.expires)
    record, key = make_key(asked.name, asked.scope, expires=expires, limit=asked.limit)
    file.add(record)
    # The key alone on stdout: KEY=$(python -m serving.keys create ...) takes it without being seen.
    sys.stdout.write(f"{key}\n")
    sys.stderr.write(
        f"This is the key '{record.name}' (id {record.id}, {', '.join(record.scopes)}). "
        "It is shown this once; only its hash is kept.\n"
    )
    return 0


def _revoke(file: KeyFile, key: str) -> int:
    record = file.revoke(key)
    sys.stdout.write(f"{record.id} ({record.name}) {record.ended(datetime.now(UTC))}\n")
    return 0


def _list(file: KeyFile) -> int:
    records = file.read() or []
    if not records:
        sys.stderr.write(f"There is no key in {file.path}; create one with: {CREATE}\n")
        return 0
    rows = [HEAD, *map(_row, records)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    return 0


def _row(record: Record) -> tuple[str, ...]:
    return (
        record.id,
        record.name,
        ",".join(record.scopes),
        f"{record.created:%Y-%m-%d}",
        "-" if record.expires is None else f"{record.expires:%Y-%m-%d}",
        "-" if record.limit is None else f"{record.limit}/min",
        record.ended(datetime.now(UTC)) or "good",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.keys", description=__doc__, epilog=EPILOG
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="create|list|revoke")
    create = commands.add_parser(
        "create", help="make a key and print it, once", epilog=EPILOG, description=SCOPES
    )
    create.add_argument("--name", required=True, type=_name, help="whose it is: press-01, line-2")
    create.add_argument(
        "--scope",
        required=True,
        action="append",
        choices=get_args(Scope),
        help="what it may do; may be given several times",
    )
    create.add_argument(
        "--expires", type=_days, metavar="DAYS", help="after so many days it no longer holds"
    )
    create.add_argument(
        "--limit", type=_limit, metavar="N/min", help="so many requests a minute at most"
    )
    commands.add_parser("list", help="list the keys, never their secrets", epilog=EPILOG)
    revoke = commands.add_parser("revoke", help="end a key", epilog=EPILOG)
    revoke.add_argument("id", metavar="ID", help="as 'list' shows it")
    return parser


SCOPES = "score: judge rows, read; operate: score, act on alarms; admin: operate, and the rest."


def _name(text: str) -> str:
    if not (text.isprintable() and len(text.strip()) >= 1 and len(text) <= LONGEST_NAME):
        raise argparse.ArgumentTypeError(
            f"{text[:60]!r}; 1 to {LONGEST_NAME} printable characters are needed"
        )
    return text.strip()


def _days(text: str) -> float:
    wanted = f"{text[:60]!r}; a number of days above 0, {LONGEST_DAYS} at most, is needed"
    try:
        days = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(wanted) from None
    if not 0 < days <= LONGEST_DAYS:
        raise argparse.ArgumentTypeError(wanted)
    return days


def _limit(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9})(/min)?", text)
    if found is None or not 1 <= int(found[1]) <= HIGHEST_LIMIT:
        raise argparse.ArgumentTypeError(
            f"{text[:60]!r}; a whole number from 1 to {HIGHEST_LIMIT} is needed, like 600/min"
        )
    return int(found[1])


if __name__ == "__main__":
    sys.exit(main())
