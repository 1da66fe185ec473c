"""The command as a user runs it, on small cases."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from hydra import initialize_config_dir

from bench.detection import all_methods, with_folder
from kizashi.errors import ConfigurationError
from pipelines.command import CONF
from tests.bench.made_cases import make_case
from tests.bench.test_records import configured

ROOT = Path(__file__).parents[2]
PEER = "t2_ledoit_wolf"


@dataclass(frozen=True)
class Ran:
    folder: Path

    def again(self, *options: str) -> subprocess.CompletedProcess[str]:
        arguments = [f"data={self.folder / 'my data'}", f"out={self.folder / 'out'}"]
        fast = ["trainer=fast", "peers=[t2_ledoit_wolf]", "seeds=[0,1]"]
        return subprocess.run(
            [sys.executable, "-m", "bench.detection", *arguments, *fast, *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def csv(self) -> Path:
        return self.folder / "out" / "detection.csv"

    def table(self) -> pd.DataFrame:
        return pd.read_csv(self.csv)

    def document(self) -> str:
        return (self.folder / "out" / "detection.md").read_text()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("bench")
    make_case(folder / "my data" / "tables" / "good")
    make_case(folder / "my data" / "tables" / "few", train_rows=33)
    make_case(folder / "my data" / "tables" / "too few", train_rows=5)
    make_case(folder / "my data" / "rig" / "valve", series=True)
    ran = Ran(folder)
    finished = ran.again()
    assert finished.returncode == 0, finished.stderr
    return ran


def test_every_case_method_seed_and_rate_has_one_row(ran: Ran) -> None:
    table = ran.table()
    counted = table.groupby(["suite", "case", "method"]).size()
    assert counted.to_dict() == {
        (suite, case, method): 2 * 3
        for suite, case in [
            ("rig", "valve"),
            ("tables", "few"),
            ("tables", "good"),
            ("tables", "too few"),
        ]
        for method in ["kizashi trainer=fast", "t2_ledoit_wolf"]
    }
    assert table[table["case"] == "too few"]["failed"].str.contains("too few to split").all()
    measured = table[table["case"] != "too few"]
    assert measured["failed"].isna().all() and measured["auroc"].between(0.5, 1).all()


def test_a_series_is_judged_in_windows_and_has_no_band(ran: Ran) -> None:
    table = ran.table()
    valve, good = (table[table["case"] == name] for name in ("valve", "good"))
    assert set(valve["window_length"]) == {10} and set(good["window_length"]) == {1}
    assert valve["band_low"].isna().all()


def test_the_document_says_how_it_was_made_but_not_where_the_data_was(ran: Ran) -> None:
    document = ran.document()
    assert "python -m bench.detection data=FOLDER out=FOLDER trainer=fast" in document
    assert str(ran.folder) not in document
    assert "## rig" in document and "## tables" in document
    assert "kizashi trainer=fast failed on too few with seed 1: DataError" in document


def test_what_is_there_is_kept_and_what_is_missing_is_added(ran: Ran) -> None:
    whole = ran.csv.read_text().splitlines()
    ran.csv.write_text("\n".join(whole[:-3]) + "\n")
    assert ran.again().returncode == 0
    resumed = ran.csv.read_text().splitlines()
    assert resumed[: len(whole) - 3] == whole[:-3]
    names = [line.split(",")[:6] for line in whole]
    assert [line.split(",")[:6] for line in resumed] == names


def test_other_measurements_share_the_fit_and_have_files_of_their_own(ran: Ran) -> None:
    before = ran.csv.read_bytes()
    document = ran.folder / "README.md"
    document.write_text("a\n<!-- bench.detection -->\nanother run\n<!-- /bench.detection -->\nb\n")
    measure = "measure=[ranking,contributions,contamination,missing]"
    finished = ran.again(measure, f"readme.en={document}")
    assert finished.returncode == 0, finished.stderr
    assert ran.csv.read_bytes() == before
    text = document.read_text()
    assert text.startswith("a\n") and text.endswith("-->\nb\n") and "another run" not in text
    assert "`tables`: 3 cases, 2 seeds." in text and "| t2_ledoit_wolf | " in text
    assert "make bench-detection DATA=FOLDER OPTIONS=" in text and str(ran.folder) not in text
    tables = {
        name: pd.read_csv(ran.folder / "out" / f"{name}.csv")
        for name in ("contributions", "contamination", "missing")
    }
    methods = {name: set(table["method"]) for name, table in tables.items()}
    both = {"kizashi trainer=fast", "t2_ledoit_wolf"}
    assert methods == {"contributions": both, "contamination": both, "missing": both - {PEER}}
    assert set(tables["contamination"]["suite"]) == {"tables"}  # no series
    for name, table in tables.items():
        good = table[table["case"] == "good"]
        assert len(good) == 2 * 3 * len(methods[name])
        assert (ran.folder / "out" / f"{name}.md").read_text().count("| kizashi trainer=fast") > 1


def test_an_unknown_measurement_is_refused_with_those_that_there_are(ran: Ran) -> None:
    refused = ran.again("measure=[speed]")
    assert refused.returncode == 1
    assert "'ranking', 'contributions', 'contamination' or 'missing'" in refused.stderr


def test_the_folder_is_given_as_data() -> None:
    assert with_folder(["data=a b", "seeds=[0]"]) == ["cases=a b", "seeds=[0]"]


def test_variants_and_options_are_in_the_name_of_a_method() -> None:
    config = configured(
        "peers=[]", "seeds=[3]", 'variants=["","scorer=standardised_error model.members=3"]'
    )
    overrides = ["cases=none", "out=none", "seeds=[3]", "model.width=8", "peers=[]"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        plain, other, *_ = all_methods(config, "exchangeable", overrides)
    assert plain.name == "kizashi model.width=8"
    assert other.name == "kizashi model.width=8 scorer=standardised_error model.members=3"
    assert other.config.model.members == 3 and other.config.model.width == 8
    assert plain.config.split._target_.endswith("RandomSplit")


def test_a_wrong_value_ends_the_run_before_any_case_is_read() -> None:
    config = configured("peers=[]")
    with (
        initialize_config_dir(str(CONF), version_base="1.3"),
        pytest.raises(ConfigurationError, match="members is 0"),
    ):
        all_methods(config, "series", ["cases=none", "out=none", "model.members=0"])
