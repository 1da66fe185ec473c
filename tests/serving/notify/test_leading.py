"""The process that sends shows its channels as soon as the database takes them."""

from pathlib import Path

import pytest

from serving import attendant
from serving.attendant import Attendant
from serving.errors import HistoryUnavailable
from serving.history.database import Database
from serving.notify import board
from serving.settings import Settings
from tests.serving.notify.test_dispatcher import STOPPING, Noted


def test_channels_that_could_not_be_shown_at_first_are_shown_at_the_next_renewal(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending = Attendant(
        Settings.model_validate({"cache": tmp_path}), [Noted("pager")], database, STOPPING
    )

    def full(*_: object) -> None:
        raise HistoryUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(attendant, "publish", full)
        sending.renew()
    assert sending.lease.held
    sending.renew()
    with database.read() as connection:
        assert [one.name for one in board.board(connection).channels] == ["pager"]
