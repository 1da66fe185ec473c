import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from bench.brief import quoted
from bench.costs import ROWS, Shape, made_by, measured, microseconds
from bench.costs_summary import GOAL_US, brief, summary
from bench.fitted import FittedOwn, FloatArray
from kizashi.errors import ConfigurationError
from pipelines.command import CONF

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results"
PAGES = [("en", ROOT / "docs/detection.md"), ("ja", ROOT / "docs/ja/detection.md")]
FEW = ["train_rows=200", "calibration_rows=120", "trainer.steps=1"]


def composed(overrides: list[str]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("bench_costs", [*FEW, *overrides])


def table_of(*overrides: str) -> pd.DataFrame:
    chosen = list(overrides)
    return pd.DataFrame(list(measured(composed(chosen), lambda one: composed([*chosen, *one]))))


def recorded() -> tuple[pd.DataFrame, str]:
    """The table, and the command that its document begins with."""
    command = (RESULTS / "costs.md").read_text("utf-8").splitlines()[2].strip("`")
    return pd.read_csv(RESULTS / "costs.csv"), command


def test_every_network_and_scorer_that_can_be_chosen_is_measured() -> None:
    config = composed([])
    for group, names in (("model", config.networks), ("scorer", config.scorers)):
        assert sorted(names) == sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def test_each_scorer_is_measured_on_rows_that_it_applies_to() -> None:
    table = table_of(
        "networks=[dense]", "scorers=[joint,state_rarity,sensor_relations]", "shapes=[5x1]"
    )
    kinds = list(zip(table["scorer"], table["rows"], strict=True))
    assert kinds == [
        ("joint", "curves"),
        ("joint", "switches"),
        ("joint", "relations"),
        ("state_rarity", "switches"),
        ("sensor_relations", "relations"),
    ]
    costs = table[["single_us", "batch_us", "missing_us", "new_pattern_ms", "bundle_bytes"]]
    assert (costs > 0).all(axis=None)


def test_a_single_value_has_nothing_missing() -> None:
    table = table_of("networks=[dense]", "scorers=[reconstruction_error]", "shapes=[1x1,1x2]")
    assert "missing_us" in table and table["missing_us"].isna().tolist() == [True, False]


def test_no_row_is_like_another_and_the_same_call_gives_the_same_ones() -> None:
    for simulate in ROWS.values():
        rows_NF = simulate(300, 12, 0)
        assert rows_NF.shape == (300, 12) and (rows_NF.std(axis=0) > 0).all()
        np.testing.assert_array_equal(rows_NF, simulate(300, 12, 0))
        assert not np.array_equal(rows_NF, simulate(300, 12, 1))


class Serving(FittedOwn):
    """Serves nothing but the time that it takes."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        object.__setattr__(self, "seconds", seconds)

    def serve(self, windows_BTF: FloatArray) -> object:
        end = time.process_time() + self.seconds()  # type: ignore[attr-defined]
        while time.process_time() < end:
            pass
        return None


def test_time_is_of_the_processor_and_the_best_of_rounds() -> None:
    rounds = iter([0.02, 0.004, *[0.01] * 1000])
    best = microseconds(Serving(lambda: next(rounds)), np.zeros((10, 1, 1)), at_once=10)
    assert 400 <= best < 700


@pytest.mark.parametrize("text", ["3", "0x1", "3x0", "x1", "3x1x1", "ax1"])
def test_a_text_that_is_no_shape_is_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"shapes has '{text}'; SENSORSxROWS is needed"):
        Shape.named(text)


def test_the_command_is_told_without_where_results_go() -> None:
    assert made_by(["out=a", "documents.en=null", "shapes=[3x1]"]) == (
        "python -m bench.costs 'shapes=[3x1]'"
    )


@pytest.mark.parametrize(("single_us", "said"), [(39.9, "at most: kept"), (40.1, "not kept")])
def test_the_goal_of_the_default_for_few_sensors_is_held_against_its_cost(
    single_us: float, said: str
) -> None:
    row = {"network": "denoising", "scorer": "joint", "rows": "curves", "sensors": 3}
    costs = dict.fromkeys(["batch_us", "missing_us", "new_pattern_ms", "fit_seconds"], 1.0)
    costs |= {"window_length": 1, "steps": 300, "bundle_bytes": 2048, "single_us": single_us}
    document = summary(pd.DataFrame([{**row, **costs}]), "the command")
    assert f"{single_us} µs, {GOAL_US:g} at most: " in document and said in document
    assert "| denoising | joint | curves | " in document and document.count("| 2 |") == 1


def test_the_document_is_of_the_recorded_costs() -> None:
    table, command = recorded()
    assert summary(table, command) == (RESULTS / "costs.md").read_text("utf-8")


@pytest.mark.parametrize(("language", "page"), PAGES)
def test_the_page_of_the_method_quotes_the_recorded_costs(language: str, page: Path) -> None:
    assert quoted(page, "bench.costs") == brief(recorded()[0], language)
