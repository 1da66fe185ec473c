from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.cases import Case, find_cases
from bench.fitted import FittedOwn, FloatArray
from bench.measurement import Skipped
from bench.methods import Method
from bench.missing import ARMS, Missing, readings
from kizashi.errors import UnusableScore
from kizashi.runtime.windows import Rows
from tests.bench.made_cases import make_case
from tests.bench.test_records import method


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("data") / "tables" / "case"
    return find_cases(make_case(folder, train_rows=400))[0].read()


@pytest.fixture(scope="module")
def own() -> Method:
    return method("trainer=fast", "trainer.progress=false", "split=random")


@pytest.fixture(scope="module")
def fitted(case: Case, own: Method) -> FittedOwn:
    fit = own.fit(case, 0)
    assert isinstance(fit, FittedOwn)
    return fit


class WithoutSupport(FittedOwn):
    """A detector as it was before it could do without a sensor."""

    def calibrated_score(self, windows_BTF: FloatArray) -> FloatArray:
        if np.isnan(windows_BTF).any():
            raise UnusableScore("the model scored nan")
        return super().calibrated_score(windows_BTF)


@pytest.mark.parametrize("window_length", [1, 4])
def test_one_sensor_of_each_row_is_missing_throughout_its_window(
    case: Case, window_length: int
) -> None:
    arms = readings(case, window_length, seed=0)
    assert list(arms) == list(ARMS)
    gone_BTF = np.isnan(arms["missing"])
    assert (gone_BTF.sum(axis=(1, 2)) == window_length).all()
    assert (gone_BTF.all(axis=1).sum(axis=1) == 1).all()
    assert set(gone_BTF.any(axis=1).argmax(axis=1)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(arms["whole"][~gone_BTF], arms["missing"][~gone_BTF])
    means_BTF = np.broadcast_to(case.train_NF.mean(axis=0), gone_BTF.shape)
    np.testing.assert_array_equal(arms["mean"][gone_BTF], means_BTF[gone_BTF])


def test_whole_and_filled_rows_are_judged_by_the_same_threshold(
    case: Case, own: Method, fitted: FittedOwn
) -> None:
    whole, _, mean = Missing().measure(case, own, 0, lambda: fitted)
    assert (whole["readings"], mean["readings"]) == ("whole", "mean")
    assert whole["auroc"] > mean["auroc"] > 0.5
    assert whole["calibration_rows"] == mean["calibration_rows"] == 120


def test_a_detector_that_needs_every_sensor_is_said_to(
    case: Case, own: Method, fitted: FittedOwn
) -> None:
    without = WithoutSupport(
        fitted.detector, fitted.in_time, fitted.fit_seconds, fitted.bundle_bytes
    )
    rows = Missing().measure(case, own, 0, lambda: without)
    whole, missing, mean = ({"failed": "", **row} for row in rows)
    assert missing["failed"] == "not supported: the model scored nan" and "auroc" not in missing
    assert whole["failed"] == mean["failed"] == "" and "auroc" in whole and "auroc" in mean
    named = {"suite": "tables", "case": "a", "method": "ours", "seed": "0"}
    table = pd.DataFrame([{**named, **row} for row in (whole, missing, mean)])
    document = Missing().summary(table, ["ours"], "the command")
    assert "Not supported in 1 results." in document
    assert "| ours | one missing | – / – |" in document


def test_a_case_with_a_single_sensor_is_skipped(case: Case) -> None:
    alone = replace(case, train=Rows(case.train_NF[:, :1]), test_NF=case.test_NF[:, :1])
    with pytest.raises(Skipped, match="only sensor"):
        readings(alone, 1, seed=0)


def test_only_our_detector_is_asked(tmp_path: Path) -> None:
    assert Missing().applies(method(), "series")
    assert not Missing().applies(method(peer="t2_ledoit_wolf"), "exchangeable")
