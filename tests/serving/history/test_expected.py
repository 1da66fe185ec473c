"""What the served model expects of recorded rows: the same as if it judged them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from serving.errors import NotFound
from serving.following.cache import Pointer
from serving.following.detectors import Served
from serving.history import expected as module
from serving.history.database import Database
from serving.history.expected import expected
from serving.history.record import LATEST, MICROSECONDS, OLDEST, Row
from serving.history.store import Store
from serving.history.views import Expected
from serving.verdicts.scoring import Origin
from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, PRESS_LINE, press_line_bundle, press_line_rows
from tests.serving.history.conftest import settled
from tests.serving.history.test_api import send

NOW = 1_750_000_000.0


def served_from(folder: Path, version: str = "3", **made: object) -> Served:
    bundle = press_line_bundle(folder, **made)  # type: ignore[arg-type]
    pointer = Pointer(
        bundle=bundle.hash, name="press-line", version=version, source="here", since="now"
    )
    return Served(bundle, pointer)


def record(store: Store, served: Served, rows_NF: np.ndarray, start: float = 0.0) -> None:
    """Judge and keep rows of press-01, one a second, as a client that sends each window does."""
    length = served.detector.contract.window_length
    rows = []
    for at in range(length - 1, len(rows_NF)):
        window_TF = rows_NF[at - length + 1 : at + 1]
        score, anomaly = served.detector.verdict(window_TF)
        moment = NOW + start + at
        origin = Origin("kizashi", f"request-{at}", "press-01")
        window = window_TF if anomaly else None
        rows.append(Row(served, origin, moment, window_TF[-1], score, anomaly, window))
    store.write(rows)


def ask(database: Database, served: Served, points: int = 2000, start: float = 0.0) -> Expected:
    first = OLDEST if not start else round((NOW + start) * MICROSECONDS)
    with database.read() as connection:
        return expected(connection, served, "press-01", first, LATEST, points)


def column(found: Expected, place: int) -> list[float | None]:
    return found.sensors[place].values


def test_normal_rows_are_expected_to_be_what_judging_them_says(
    store: Store, database: Database, served: Served
) -> None:
    rows_NF = press_line_rows(30, seed=8)
    rows_NF[7] = ANOMALOUS_ROW
    record(store, served, rows_NF)
    found = ask(database, served)
    judged_NF = served.detector.judge(rows_NF[:, None]).expected_BF
    for place in range(3):
        np.testing.assert_allclose(
            np.array(column(found, place), dtype=float), judged_NF[:, place], rtol=1e-5
        )
    assert (found.model, found.version, found.other_versions, found.untold) == (
        *("press-line", "3", 0, 0),
    )
    assert found.time[1] - found.time[0] == 1000


def test_of_many_rows_every_so_many_is_told(
    store: Store, database: Database, served: Served
) -> None:
    record(store, served, press_line_rows(30, seed=8))
    found = ask(database, served, points=10)
    assert len(found.time) == 10
    assert {later - one for one, later in zip(found.time, found.time[1:], strict=False)} == {3000}


def test_more_rows_than_are_looked_at_are_left_out_and_that_is_said(
    store: Store, database: Database, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(store, served, press_line_rows(30, seed=8))
    monkeypatch.setattr(module, "MOST_ROWS", 20)
    found = ask(database, served)
    assert (len(found.time), found.truncated) == (20, True)


def test_rows_of_an_earlier_version_are_told_by_the_one_that_serves_and_counted(
    store: Store, database: Database, served: Served, tmp_path: Path
) -> None:
    rows_NF = press_line_rows(10, seed=8)
    earlier = served_from(tmp_path / "earlier", "2", seed=5)
    record(store, earlier, rows_NF)
    record(store, served, rows_NF, start=10)
    found = ask(database, served)
    assert (found.other_versions, found.untold) == (10, 0)
    assert column(found, 1)[:10] == column(found, 1)[10:]


def test_sensors_are_told_by_their_names_and_rows_of_others_are_not_told(
    store: Store, database: Database, served: Served, tmp_path: Path
) -> None:
    rows_NF = press_line_rows(5, seed=8)
    turned = served_from(tmp_path / "turned", sensors=PRESS_LINE[::-1])
    record(store, turned, rows_NF[:, ::-1])
    record(store, served_from(tmp_path / "two", sensors=PRESS_LINE[:2]), rows_NF[:, :2], start=5)
    record(store, served, rows_NF, start=10)
    found = ask(database, served)
    assert column(found, 0)[:5] == column(found, 0)[10:]
    assert column(found, 0)[5:10] == [None] * 5
    assert (found.other_versions, found.untold) == (10, 5)


def test_a_row_that_lacks_a_value_is_not_told_where_nothing_fills_it_in(
    store: Store, database: Database, served: Served
) -> None:
    record(store, served, press_line_rows(3, seed=8))
    values = np.array([1.2, float("nan"), 1.1])
    lacking = Row(served, Origin("kizashi", "one", "press-01"), NOW + 3, values, 0.1, False)
    store.write([lacking])
    found = ask(database, served)
    assert [value is None for value in column(found, 0)] == [False, False, False, True]
    assert found.untold == 1


def test_windows_are_taken_from_the_rows_before_also_those_before_the_time_asked_for(
    store: Store, database: Database, tmp_path: Path
) -> None:
    windowed = served_from(tmp_path / "windowed", window_length=4)
    rows_NF = press_line_rows(20, seed=8)
    record(store, windowed, rows_NF)
    found = ask(database, windowed)
    judged = windowed.detector.judge(windowed.detector.windows(rows_NF)).expected_BF[:, 2]
    assert column(found, 2)[:3] == [None] * 3  # the rows before these were never sent alone
    np.testing.assert_allclose(np.array(column(found, 2)[3:], dtype=float), judged[3:], rtol=1e-5)
    assert None not in column(ask(database, windowed, start=10), 2)


def test_windows_that_were_not_of_the_rows_before_are_not_told(
    store: Store, database: Database, tmp_path: Path
) -> None:
    windowed = served_from(tmp_path / "windowed", window_length=4)
    for at in range(6):  # six windows that have nothing to do with each other
        record(store, windowed, press_line_rows(4, seed=at), start=float(at))
    found = ask(database, windowed)
    assert found.untold == len(found.time) == 6
    other = replace(windowed, pointer=windowed.pointer)
    record(store, other, press_line_rows(20, seed=8), start=100.0)
    assert ask(database, served_from(tmp_path / "new", window_length=4, seed=3)).untold == 23


def test_a_source_that_never_sent_is_not_found(database: Database, served: Served) -> None:
    with pytest.raises(NotFound):
        ask(database, served)


def test_the_service_tells_what_it_expects_and_bounds_what_it_is_asked(
    history_client: TestClient,
) -> None:
    send(history_client, 3, NORMAL_ROW, "press-02")
    settled(history_client)
    answer = history_client.get("/api/expected", params={"source": "press-02"})
    found = Expected.model_validate_json(answer.content)
    assert [sensor.name for sensor in found.sensors] == [sensor.name for sensor in PRESS_LINE]
    assert all(abs((value or 0) - 1.2) < 0.1 for value in found.sensors[0].values)
    assert len(found.time) == 3
    asked = {"source": "press-02", "points": "5001"}
    assert history_client.get("/api/expected", params=asked).status_code == 422
