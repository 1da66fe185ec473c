"""The log of the service: one line a record, for machines as JSON or for people as text.

Whatever a record says, it stays one line: what a client sent cannot forge another. Passwords in
addresses are left out; query strings and the values of headers are never logged at all.
"""

import json
import logging
import re
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

from uvicorn.logging import DefaultFormatter

LogFormat = Literal["auto", "json", "text"]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request under way, in its task and in the threads that work for it."""

SECRET = re.compile(r"://[^/\s]+@")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
INDENT = "    "


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, message, and where they apply
    request_id, exception and the values of the access log."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        content: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": hidden(record.getMessage()).strip(),
            "process": record.process,
        }
        if (named := request_id.get()) is not None:
            content["request_id"] = named
        content |= getattr(record, "values", {})
        if (told := exception_of(record)) is not None:
            content["exception"] = told
        return json.dumps(content, default=str)  # ASCII: every control character is escaped


class TextFormatter(DefaultFormatter):
    """A line for people, as uvicorn writes it; a traceback is indented below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        line = logging.makeLogRecord(record.__dict__)
        message = CONTROL.sub(escaped, hidden(record.getMessage()).strip())
        if (named := request_id.get()) is not None:
            message = f"{message} [{named}]"
        line.msg, line.args, line.exc_info, line.exc_text = message, None, None, None
        line.stack_info = None
        line.__dict__.pop("color_message", None)  # uvicorn's own, in which nothing is escaped
        text = super().format(line)
        if (told := exception_of(record)) is not None:
            below = (CONTROL.sub(escaped, one) for one in told.split("\n"))
            text = "\n".join((text, *(INDENT + one for one in below)))
        return text


def exception_of(record: logging.LogRecord) -> str | None:
    """The traceback of a record, if it has one."""
    if not record.exc_info or record.exc_info[0] is None:
        return None
    return hidden("".join(traceback.format_exception(*record.exc_info))).rstrip()


def hidden(text: str) -> str:
    """Without the names and passwords of addresses: a registry's may have them."""
    return SECRET.sub("://***@", text)


def escaped(found: re.Match[str]) -> str:
    """A control character as it is written in a text."""
    return found[0].encode("unicode_escape").decode()


def chosen(kind: LogFormat) -> Literal["json", "text"]:
    """The format to write: `auto` is text on a terminal, and JSON where machines collect it."""
    if kind != "auto":
        return kind
    return "text" if sys.stderr is not None and sys.stderr.isatty() else "json"


def log_config(kind: LogFormat) -> dict[str, Any]:
    """A configuration of `logging`: the service from INFO, all others from WARNING, to standard
    error."""
    formatters: dict[str, dict[str, Any]] = {
        "json": {"()": "serving.logs.JsonFormatter"},
        "text": {"()": "serving.logs.TextFormatter", "fmt": "%(levelprefix)s %(message)s"},
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatters[chosen(kind)]},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {"serving": {"level": "INFO"}, "uvicorn": {"level": "WARNING"}},
    }
