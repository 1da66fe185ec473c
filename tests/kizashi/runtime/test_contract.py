import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kizashi.errors import ConfigurationError, InvalidRow, Problem
from kizashi.runtime.contract import DataContract, Sensor

PRESSURE = Sensor("pressure", "bar", 0.0, 10.0)
COUNT = Sensor("count")
CONTRACT = DataContract((PRESSURE, COUNT))


def problems(values: object, contract: DataContract = CONTRACT) -> list[Problem]:
    with pytest.raises(InvalidRow) as refused:
        contract.window(values)
    return list(refused.value.problems)


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("n/a", "'n/a'"),
        ("1.5", "'1.5'"),
        ("", "''"),
        (True, "true"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        ({"value": 1.0}, "an object"),
        (b"1", "b'1'"),
        (10**400, "1" + "0" * 58 + "…"),
        ("x" * 100, "'" + "x" * 58 + "…"),
    ],
)
def test_a_cell_that_is_no_finite_number_is_named_with_its_value_and_unit(
    cell: object, shown: str
) -> None:
    with pytest.raises(InvalidRow) as refused:
        CONTRACT.row([cell, 2])
    detail = f"sensor 'pressure' is {shown}; a number in bar is needed"
    assert refused.value.problems == (Problem(detail, "pressure", None),)


def test_an_integer_too_long_for_python_to_print_is_a_problem_like_any_other() -> None:
    (problem,) = problems([10**5000, 2])
    assert problem.sensor == "pressure"
    assert problem.detail.endswith("; a number in bar is needed")


def test_a_sensor_without_a_unit_needs_just_a_number() -> None:
    assert problems([1, "?"]) == [Problem("sensor 'count' is '?'; a number is needed", "count")]


def test_every_wrong_cell_is_a_problem_of_its_own_with_its_row() -> None:
    with pytest.raises(InvalidRow) as refused:
        CONTRACT.rows([[1, 2], ["a", True], [3, math.nan]])
    assert [(problem.row, problem.sensor) for problem in refused.value.problems] == [
        (1, "pressure"),
        (1, "count"),
        (2, "count"),
    ]
    assert str(refused.value) == (
        "row 1: sensor 'pressure' is 'a'; a number in bar is needed; "
        "row 1: sensor 'count' is true; a number is needed; "
        "row 2: sensor 'count' is NaN; a number is needed"
    )


@pytest.mark.parametrize(
    ("values", "count"), [([], "0 values"), ([1], "1 value"), ([1, 2, 3], "3 values")]
)
def test_a_wrong_number_of_values_says_how_many_are_expected_and_their_names(
    values: list[float], count: str
) -> None:
    detail = f"{count} came; 2 values (pressure, count) needed"
    assert problems(values) == [Problem(detail)]


@pytest.mark.parametrize(("values", "shown"), [(5, "5"), ("1,2", "'1,2'"), (None, "null")])
def test_values_that_are_no_list_are_refused(values: object, shown: str) -> None:
    detail = f"values is {shown}; a list of 2 values (pressure, count) is needed"
    assert problems(values) == [Problem(detail)]


def test_values_by_name_are_taken_in_the_contracts_order() -> None:
    assert CONTRACT.row({"count": 7, "pressure": 1.5}).tolist() == [1.5, 7.0]


def test_missing_and_unknown_names_are_all_reported() -> None:
    assert problems({"pressure": 1, "sound": 2, "flow": 3}) == [
        Problem("sensor 'count' is missing; a number is needed", "count"),
        Problem("sensor 'sound' is unknown; 2 values (pressure, count) needed", "sound"),
        Problem("sensor 'flow' is unknown; 2 values (pressure, count) needed", "flow"),
    ]


def test_a_wrong_value_by_name_names_its_sensor() -> None:
    detail = "sensor 'count' is 'x'; a number is needed"
    assert problems({"count": "x", "pressure": 1}) == [Problem(detail, "count")]


def test_names_of_a_wide_contract_are_shortened_in_errors() -> None:
    wide = DataContract(tuple(Sensor(f"s{number}") for number in range(60)))
    (problem,) = problems([1.0], wide)
    assert problem.detail.startswith("1 value came; 60 values (s0, s1, ")
    assert problem.detail.endswith("s19, …) needed")


def test_one_row_is_a_window_of_one() -> None:
    assert CONTRACT.window([1, 2]).tolist() == [[1.0, 2.0]]
    assert CONTRACT.window([[1, 2]]).tolist() == [[1.0, 2.0]]
    assert CONTRACT.window({"pressure": 1, "count": 2}).tolist() == [[1.0, 2.0]]


def test_a_window_keeps_the_order_of_its_rows_and_may_mix_lists_with_names() -> None:
    contract = DataContract((PRESSURE, COUNT), window_length=2)
    assert contract.window([[1, 2], {"count": 4, "pressure": 3}]).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("values", "came"),
    [([1, 2], "1 row"), ([[1, 2]], "1 row"), ([[1, 2], [1, 2], [1, 2]], "3 rows")],
)
def test_a_window_of_another_length_is_refused(values: object, came: str) -> None:
    contract = DataContract((PRESSURE, COUNT), window_length=2)
    detail = f"{came} of values came; this model judges windows of 2 rows"
    assert problems(values, contract) == [Problem(detail)]


def test_two_rows_are_no_single_row() -> None:
    detail = "2 rows of values came; this model judges windows of 1 row"
    assert problems([[1, 2], [3, 4]]) == [Problem(detail)]


def test_a_row_of_a_window_that_is_no_list_is_named() -> None:
    contract = DataContract((PRESSURE, COUNT), window_length=2)
    detail = "row 1: values is 5; a list of 2 values (pressure, count) is needed"
    assert problems([[1, 2], 5], contract) == [Problem(detail, None, 1)]


@pytest.mark.parametrize(("wrong", "shown"), [([2], "a list of 1"), ({"x": 1}, "an object")])
def test_a_list_or_an_object_among_the_cells_of_one_row_is_the_wrong_cell(
    wrong: object, shown: str
) -> None:
    detail = f"sensor 'count' is {shown}; a number is needed"
    assert problems([1, wrong]) == [Problem(detail, "count")]


def test_cells_among_the_rows_of_a_window_are_named_before_the_rows_are_counted() -> None:
    contract = DataContract((PRESSURE, COUNT), window_length=5)
    wanted = "a list of 2 values (pressure, count) is needed"
    assert problems([1, [1, 2], 3], contract) == [
        Problem(f"row 0: values is 1; {wanted}", None, 0),
        Problem(f"row 2: values is 3; {wanted}", None, 2),
    ]


def test_values_beyond_the_instrument_are_valid_and_flagged() -> None:
    rows_NF = CONTRACT.rows([[-0.1, -1e9], [0, 0], [10, 1], [10.1, 1e9]])
    assert CONTRACT.out_of_range(rows_NF).tolist() == [
        [True, False],
        [False, False],
        [False, False],
        [True, False],
    ]


@given(st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers())))
def test_every_finite_number_is_read_as_it_is(rows: list[tuple[float, int]]) -> None:
    read_NF = CONTRACT.rows(rows)
    assert read_NF.shape == (len(rows), 2)
    assert np.array_equal(read_NF.ravel(), np.array(rows, dtype=float).ravel())


def test_a_contract_survives_being_stored() -> None:
    contract = DataContract((PRESSURE, COUNT), window_length=8)
    assert DataContract.from_dict(contract.to_dict()) == contract


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataContract(()), "the data contract names no sensor; at least one is needed"),
        (lambda: DataContract((COUNT, COUNT)), "the data contract names sensor 'count' twice"),
        (
            lambda: DataContract((COUNT,), 0),
            "window length is 0; a whole number from 1 is needed",
        ),
        (
            lambda: DataContract((COUNT,), 2.5),  # type: ignore[arg-type]
            "window length is 2.5; a whole number from 1 is needed",
        ),
        (lambda: Sensor(" "), "a sensor's name is ' '; a text is needed"),
        (
            lambda: Sensor("a", low="0"),  # type: ignore[arg-type]
            "sensor 'a': low is '0'; a number or null is needed",
        ),
        (
            lambda: Sensor("a", high=math.nan),
            "sensor 'a': high is nan; a number or null is needed",
        ),
        (
            lambda: Sensor("a", low=3, high=3),
            "sensor 'a': low is 3 and high is 3; low must be below high",
        ),
    ],
)
def test_a_contract_that_makes_no_sense_is_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert str(refused.value) == message


def test_null_is_a_missing_value_in_a_list_and_under_a_name() -> None:
    assert np.isnan(CONTRACT.row([None, 2])).tolist() == [True, False]
    assert np.isnan(CONTRACT.row({"count": None, "pressure": 1})).tolist() == [False, True]


@pytest.mark.parametrize(
    "contract",
    [
        DataContract((PRESSURE, COUNT), missing="reject"),
        DataContract((PRESSURE, COUNT), max_missing_share=0.4),
        DataContract((PRESSURE,), max_missing_share=0.9),
    ],
    ids=["rejected", "less than one value", "the only value"],
)
def test_null_is_refused_like_any_other_cell_where_nothing_may_be_missing(
    contract: DataContract,
) -> None:
    assert contract.most_missing == 0
    with pytest.raises(InvalidRow, match=r"^sensor 'pressure' is null; a number in bar is needed$"):
        contract.row([None, 2][: len(contract.sensors)])


def test_a_name_that_is_left_out_is_an_error_and_no_missing_value() -> None:
    with pytest.raises(InvalidRow, match=r"^sensor 'count' is missing; a number is needed$"):
        CONTRACT.row({"pressure": 1})


def test_a_row_with_too_many_missing_values_says_how_many_may_be() -> None:
    contract = DataContract((PRESSURE, COUNT, Sensor("flow")))
    with pytest.raises(InvalidRow) as refused:
        contract.rows([[1, None, 3], [None, None, 3]])
    (problem,) = refused.value.problems
    assert problem.detail == "row 1: 2 of 3 values are missing; at most 1 may be"
    assert problem.row == 1


def test_the_share_that_may_be_missing_is_that_of_the_whole_window() -> None:
    contract = DataContract((PRESSURE, COUNT), window_length=2)
    assert np.isnan(contract.window([[None, None], [1, 2]])).sum() == 2
    with pytest.raises(InvalidRow, match=r"^3 of 4 values are missing; at most 2 may"):
        contract.window([[None, None], [1, None]])


def test_of_consecutive_rows_each_whole_window_is_looked_at() -> None:
    contract = DataContract((PRESSURE, COUNT), window_length=2)
    gaps_NF = np.array([[np.nan, np.nan], [1, 2], [np.nan, 2], [np.nan, np.nan], [1, 2]])
    assert contract.missing_before(gaps_NF).tolist() == [2, 2, 1, 3, 2]
    contract.require_present(gaps_NF[:3])
    with pytest.raises(InvalidRow) as refused:
        contract.require_present(gaps_NF)
    (problem,) = refused.value.problems
    assert problem.detail == "row 3: 3 of 4 values in its window are missing; at most 2 may be"
    contract.require_present(np.full((1, 2), np.nan))  # no window ends there


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"missing": "drop"}, "missing is 'drop'; one of impute, reject is needed"),
        ({"max_missing_share": 1.0}, "max_missing_share is 1.0; a share from 0 to below 1"),
        ({"max_missing_share": -0.1}, "max_missing_share is -0.1; a share from 0 to below 1"),
    ],
)
def test_what_cannot_be_done_about_missing_values_is_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        DataContract((PRESSURE,), **settings)


def test_what_is_done_about_missing_values_is_stored() -> None:
    contract = DataContract((PRESSURE, COUNT), missing="reject", max_missing_share=0.25)
    assert DataContract.from_dict(contract.to_dict()) == contract


cells: st.SearchStrategy[Any] = st.one_of(
    st.floats(),
    st.integers(-(10**20), 10**20),
    st.sampled_from([None, True, "1.5", 10**400, -(10**400), [1.0], {}]),
)


def told(read: Callable[[Any], npt.NDArray[np.float64]], sent: object) -> object:
    try:
        return read(sent).tolist()
    except InvalidRow as error:
        return error.problems


@given(st.lists(st.lists(cells, max_size=3) | st.lists(st.floats(-1, 1), min_size=2, max_size=2)))
def test_lists_of_numbers_become_the_rows_that_their_values_one_by_one_do(
    rows: list[list[Any]],
) -> None:
    one_by_one = [tuple(row) for row in rows]  # the short way takes lists alone
    strict = DataContract((PRESSURE, COUNT), missing="reject")
    assert told(strict.rows, rows) == told(strict.rows, one_by_one)
    for row, same in zip(rows, one_by_one, strict=True):
        assert told(strict.row, row) == told(strict.row, same)
        assert told(strict.window, row) == told(strict.window, same)


@pytest.mark.parametrize("values", [[1, 2.5], [[1, 2.5]]])
def test_whole_numbers_are_readings_too(values: object) -> None:
    window_TF = CONTRACT.window(values)
    assert window_TF.dtype == np.float64
    assert window_TF.tolist() == [[1.0, 2.5]]


def test_the_largest_readings_are_taken_as_they_are() -> None:
    largest = float(np.finfo(np.float64).max)
    assert CONTRACT.window([largest, largest]).tolist() == [[largest, largest]]


@pytest.mark.parametrize(
    ("reading", "beyond"), [(-0.1, True), (0.0, False), (10.0, False), (10.1, True), (None, False)]
)
def test_a_window_has_a_reading_out_of_range_where_any_is_marked(
    reading: float | None, beyond: bool
) -> None:
    for length, place in ((1, 0), (3, 0), (3, 2)):
        window_TF = np.ones((length, 2))
        window_TF[place, 0] = np.nan if reading is None else reading
        assert CONTRACT.any_out_of_range(window_TF) is beyond
        assert CONTRACT.out_of_range(window_TF).any() == beyond
