"""Who of several processes has the lease: only one, whatever the clocks of their machines say."""

from collections.abc import Callable

import pytest

from serving.history.database import Database
from serving.history.lease import Lease, Watched

OpenDatabase = Callable[[str], Database]
NOW = 1_800_000_000_000_000
DAY = 86_400_000_000


class Ticks:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


def leases(address: str, opened: OpenDatabase, ticks: Ticks, *holders: str) -> list[Lease]:
    return [Lease(opened(address), "notifications", 15, holder, ticks) for holder in holders]


def still_held(lease: Lease) -> bool:
    return lease.held


def test_one_holder_at_a_time_has_it(
    address: str, open_database: OpenDatabase, ticks: Ticks
) -> None:
    one, other = leases(address, open_database, ticks, "one", "other")
    assert one.take(NOW) and one.held
    for second in range(60):
        ticks.now += 1
        assert not other.take(NOW + second)
        assert one.take(NOW + second) and one.held
    one.release()
    assert not still_held(one)
    assert other.take(NOW) and other.held
    assert not one.take(NOW)


def test_who_does_not_renew_it_has_it_no_more_before_another_takes_it(
    address: str, open_database: OpenDatabase, ticks: Ticks
) -> None:
    one, other = leases(address, open_database, ticks, "one", "other")
    assert one.take(NOW)
    assert not other.take(NOW)
    ticks.now += 14
    assert still_held(one)
    assert not other.take(NOW)
    ticks.now += 2
    assert not still_held(one)
    assert other.take(NOW) and other.held
    assert not one.take(NOW)


@pytest.mark.parametrize("jump", [-400 * DAY, -1, 1, 400 * DAY])
def test_clocks_that_differ_neither_take_it_away_nor_keep_it(
    address: str, open_database: OpenDatabase, ticks: Ticks, jump: int
) -> None:
    one, other = leases(address, open_database, ticks, "one", "other")
    assert one.take(NOW)
    assert not other.take(NOW + jump)
    ticks.now += 5
    assert one.take(NOW + jump)
    assert not other.take(NOW + 2 * jump)
    ticks.now += 16
    assert other.take(NOW)


def test_who_comes_back_under_its_name_has_it_at_once(
    address: str, open_database: OpenDatabase, ticks: Ticks
) -> None:
    one, again = leases(address, open_database, ticks, "press-hall:1", "press-hall:1")
    assert one.take(NOW)
    assert again.take(NOW) and again.held


def test_processes_without_a_name_differ(
    address: str, open_database: OpenDatabase, ticks: Ticks
) -> None:
    one, other = (Lease(open_database(address), "retention", 90) for _ in range(2))
    assert one.take(NOW)
    assert not other.take(NOW)


def seen(watched: Watched, database: Database, now: int) -> bool:
    with database.read() as connection:
        return watched.held(connection, now)


@pytest.mark.parametrize("jump", [-400 * DAY, 0, 400 * DAY])
def test_who_watches_sees_whether_it_is_held_whatever_its_own_clock_says(
    address: str, open_database: OpenDatabase, ticks: Ticks, jump: int
) -> None:
    database, (one,) = open_database(address), leases(address, open_database, ticks, "one")
    watched = Watched("notifications", 15, ticks)
    assert not seen(watched, database, NOW)
    for second in range(30):
        ticks.now += 1
        assert one.take(NOW + second)
        assert seen(watched, database, NOW + jump)
    ticks.now += 14
    assert seen(watched, database, NOW + jump)
    ticks.now += 2
    assert not seen(watched, database, NOW + jump)
    assert one.take(NOW)
    assert seen(watched, database, NOW + jump)
    one.release()
    assert not seen(watched, database, NOW + jump)


def test_a_row_that_nobody_renewed_before_this_process_began_is_no_holder(
    address: str, open_database: OpenDatabase, ticks: Ticks
) -> None:
    database, (one,) = open_database(address), leases(address, open_database, ticks, "one")
    assert one.take(NOW - DAY)
    watched = Watched("notifications", 15, ticks)
    assert not seen(watched, database, NOW)
    ticks.now += 5
    assert not seen(watched, database, NOW)
    assert one.take(NOW - DAY + 1)  # the clock of its host is behind, and it lives
    assert seen(watched, database, NOW)
