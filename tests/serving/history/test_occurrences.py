"""The list of occurrences: what the filters find, and page after page of it, on both databases."""

from typing import Any

import pytest
from sqlalchemy import select, update

from serving.history.database import Database
from serving.history.occurrences import (
    READ_AT_ONCE,
    Filters,
    Page,
    Place,
    page_of_occurrences,
    pages_of_occurrences,
)
from serving.history.tables import alarms, occurrences
from serving.history.views import moment
from tests.occurrences import MINUTE, START, add_occurrences, many


def page(database: Database, filters: Filters | None = None, **asked: Any) -> Page:
    with database.read() as connection:
        return page_of_occurrences(connection, filters or Filters(), **asked)


def found(database: Database, **told: Any) -> list[int]:
    return [one.id for one in page(database, Filters(**told)).occurrences]


def ids(page: Page) -> list[int]:
    return [one.id for one in page.occurrences]


def test_every_filter_finds_what_it_says_and_together_what_all_say(database: Database) -> None:
    minute = [moment(START + at * MINUTE) for at in range(5)]
    add_occurrences(
        database,
        [
            {"began": START},
            {"began": START + MINUTE, "source": "press-02", "priority": "critical"},
            {"began": START + 2 * MINUTE, "kind": "silence", "label": "true"},
            {"began": START + 3 * MINUTE, "acknowledged": START + 4 * MINUTE, "label": "false"},
            {"began": START + 4 * MINUTE, "source": "press-03", "ended": None},
        ],
    )
    assert found(database) == [5, 4, 3, 2, 1]
    assert found(database, source="press-02") == found(database, priority="critical") == [2]
    assert found(database, kind="silence") == found(database, label="true") == [3]
    assert found(database, label="false") == found(database, acknowledged=True) == [4]
    assert found(database, label="none") == [5, 2, 1]
    assert found(database, acknowledged=False) == [5, 3, 2, 1]
    assert found(database, open=True) == [5]
    assert found(database, start=minute[2], end=minute[3]) == [4, 3]
    assert found(database, start=minute[4]) == [5]
    assert found(database, source="press-01", kind="anomaly", label="none") == [1]
    assert found(database, source="press-02", label="true") == []


@pytest.mark.parametrize(
    ("state", "ended", "shown"),
    [
        ("unacknowledged", None, "unacknowledged"),
        ("acknowledged", None, "acknowledged"),
        ("returned_unacknowledged", START + MINUTE, "returned_unacknowledged"),
        ("shelved", None, "shelved"),
        ("suppressed", None, "suppressed"),
        ("out_of_service", START + MINUTE, "out_of_service"),
        ("normal", START + MINUTE, "ended"),
    ],
)
def test_a_filter_by_state_finds_what_is_shown_in_that_state(
    database: Database, state: str, ended: int | None, shown: str
) -> None:
    add_occurrences(database, [{"began": START - MINUTE}, {"began": START, "ended": ended}])
    with database.write() as connection:
        newest = select(occurrences.c.id).order_by(occurrences.c.began.desc()).limit(1)
        last = connection.execute(newest).scalar_one()
        connection.execute(update(alarms).values(state=state, occurrence_id=last))
    every = page(database).occurrences
    assert [one.state for one in every] == [shown, "ended"]
    for one in {"unacknowledged", "shelved", "ended", shown}:
        expected = [occurrence.id for occurrence in every if occurrence.state == one]
        assert found(database, state=one) == expected


def test_pages_go_on_where_the_one_before_ended_and_back_again(database: Database) -> None:
    add_occurrences(database, many(25))
    first = page(database, limit=10)
    second = page(database, before=first.next, limit=10)
    third = page(database, before=second.next, limit=10)
    assert ids(first) + ids(second) + ids(third) == list(range(25, 0, -1))
    assert (first.previous, third.next) == (None, None)
    assert ids(page(database, after=third.previous, limit=10)) == ids(second)
    back = page(database, after=second.previous, limit=10)
    assert (ids(back), back.previous) == (ids(first), None)


def test_what_begins_meanwhile_moves_nothing_to_another_page(database: Database) -> None:
    add_occurrences(database, many(20))
    first = page(database, limit=10)
    add_occurrences(database, [{"began": START + 100 * MINUTE}] * 5)
    older = page(database, before=first.next, limit=10)
    assert ids(older) == list(range(10, 0, -1))
    assert ids(page(database, after=older.previous, limit=10)) == ids(first)


def test_the_list_is_in_the_order_of_time_and_not_of_arrival(database: Database) -> None:
    same = START + 5 * MINUTE
    times = [same, START, same, START + 9 * MINUTE, same]
    add_occurrences(database, [{"began": time} for time in times])
    assert ids(page(database)) == [4, 5, 3, 1, 2]
    one_by_one, before = [], None
    for _ in times:
        single = page(database, before=before, limit=1)
        one_by_one += ids(single)
        before = single.next
    assert (one_by_one, before) == ([4, 5, 3, 1, 2], None)


def test_pages_and_filters_go_together(database: Database) -> None:
    add_occurrences(database, many(60))
    filters = Filters(source="press-02", kind="anomaly")
    every = ids(page(database, filters))
    assert 1 < len(every) < 10
    first = page(database, filters, limit=4)
    assert ids(first) + ids(page(database, filters, before=first.next)) == every


def test_a_page_before_everything_is_empty_and_leads_back(database: Database) -> None:
    add_occurrences(database, many(3))
    empty = page(database, before=Place(START, 1))
    assert (empty.occurrences, empty.next) == ([], None)
    assert ids(page(database, after=empty.previous)) == [3, 2, 1]


def test_all_of_a_long_list_is_read_page_by_page(database: Database) -> None:
    count = READ_AT_ONCE + 1
    add_occurrences(database, many(count))
    pages = list(pages_of_occurrences(database, Filters()))
    assert [len(page) for page in pages] == [READ_AT_ONCE, 1]
    assert [one.id for page in pages for one in page] == list(range(count, 0, -1))


@pytest.mark.parametrize("text", [None, "", "7", "7.", "-1.2", "1.2.3", "9" * 19 + ".1", "１.２"])
def test_a_text_of_another_form_is_no_place(text: str | None) -> None:
    assert Place.told(text) is None
    assert Place.told(str(Place(12, 345))) == Place(12, 345)
