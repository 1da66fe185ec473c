"""CSV as the spreadsheets of several countries write it."""

import numpy as np
import pytest

from kizashi.errors import InvalidRow
from kizashi.runtime.contract import DataContract
from serving.errors import MalformedBody
from serving.formats import read
from tests.bundles import PRESS_LINE

CSV = b"text/csv"
ROWS = [[1.2, 0.9, 1.1], [1.0, np.nan, 3.0]]
CONTRACT = DataContract(PRESS_LINE, 1, "impute", 0.5)


@pytest.mark.parametrize(
    "text",
    [
        "vibration;current;sound\n1.2;0.9;1.1\n1;;3\n",
        "vibration\tcurrent\tsound\n1.2\t0.9\t1.1\n1\t\t3\n",
        "sound\tvibration\tcurrent\n1.1\t1.2\t0.9\n3\t1\t\n",
        'note;vibration;current;sound\n"a; b";1.2;0.9;1.1\nc, d;1;;3\n',
        "\n \nvibration,current,sound\n1.2,0.9,1.1\n1,,3\n\n",
    ],
)
def test_rows_are_read_however_their_cells_are_separated(text: str) -> None:
    np.testing.assert_array_equal(read(CSV, text.encode(), CONTRACT), ROWS)


def test_a_decimal_comma_is_refused_with_the_cell_that_has_it() -> None:
    with pytest.raises(InvalidRow, match="row 0: sensor 'vibration' is '1,2'; a number in mm/s"):
        read(CSV, b"vibration;current;sound\n1,2;0,9;1,1\n", CONTRACT)


def test_a_header_without_a_sensor_is_shown() -> None:
    with pytest.raises(InvalidRow, match=r"no column in the header row \('1.2', '0.9'\); one is"):
        read(CSV, b"1.2,0.9\n1,2\n", CONTRACT)


@pytest.mark.parametrize("body", [b"", b" \n\n"])
def test_an_empty_body_is_called_empty(body: bytes) -> None:
    with pytest.raises(MalformedBody, match="the body is empty; a header row"):
        read(CSV, body, CONTRACT)


def test_a_line_is_counted_from_the_top_of_the_file() -> None:
    with pytest.raises(MalformedBody, match=r"\(line 4\)"):
        read(CSV, b'\n\nvibration;current;sound\n"1.2;0.9;1.1', CONTRACT)
