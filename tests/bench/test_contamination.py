from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.cases import Case, find_cases
from bench.contamination import SHARES, Contamination, drawn_anomalies, mixed, thinned
from bench.measurement import Skipped
from kizashi.evaluation.metrics import auroc
from tests.bench.made_cases import make_case
from tests.bench.test_records import method


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return find_cases(make_case(tmp_path_factory.mktemp("data") / "tables" / "case"))[0].read()


def test_a_share_of_the_rows_that_are_learned_from_are_anomalies(case: Case) -> None:
    drawn, kept = drawn_anomalies(case, seed=0)
    normal = {tuple(row) for row in case.train_NF}
    anomalous = {tuple(row) for row in case.test_NF[case.label_N]}
    earlier = set[tuple[float, ...]]()
    for share in SHARES:
        rows = {tuple(row) for row in mixed(case, drawn, share, seed=0).train_NF}
        assert normal <= rows and rows - normal <= anomalous
        assert len(rows - normal) / len(rows) == pytest.approx(share, abs=0.003)
        assert earlier <= rows
        earlier = rows
    tested = {tuple(row) for row in case.test_NF[kept]}
    assert not tested & earlier
    assert len(kept) + len(drawn) == len(case.label_N) and not case.label_N[kept].all()


def test_every_share_is_tested_on_the_same_rows_and_dirt_costs_something(case: Case) -> None:
    of = method("split=random", peer="t2_ledoit_wolf")
    rows = Contamination().measure(case, of, 0, lambda: of.fit(case, 0))
    table = pd.DataFrame(rows)
    assert table["share"].tolist() == ["0", "0.02", "0.05"]
    assert table["mixed_in"].tolist() == [0, 4, 11]
    assert table["train_rows"].tolist() == [200, 204, 211]
    assert set(table["anomalous_rows"]) == {24 - 11}
    assert table["auroc"].iloc[0] > table["auroc"].iloc[-1]


def test_half_of_the_anomalies_stay_and_fewer_normal_rows_are_learned_from(tmp_path: Path) -> None:
    case = find_cases(make_case(tmp_path / "tables" / "case", train_rows=600))[0].read()
    few = thinned(case, seed=0)
    assert len(few.train_NF) == 12 * 19
    drawn, kept = drawn_anomalies(few, seed=0)
    assert len(drawn) == 12
    assert few.label_N[kept].sum() == 12
    rows = [tuple(row) for row in few.train_NF]
    assert rows == [tuple(row) for row in case.train_NF if tuple(row) in set(rows)]
    of = method("split=random", peer="t2_ledoit_wolf")
    table = pd.DataFrame(Contamination().measure(case, of, 0, lambda: of.fit(case, 0)))
    assert table["train_rows"].tolist() == [228, 228 + 5, 228 + 12]
    clean = of.fit(few, 0).score(case.test_windows(1)[kept])
    assert table["auroc"].iloc[0] == auroc(case.label_N[kept], clean)


def test_rows_that_are_few_enough_are_all_learned_from(case: Case) -> None:
    assert thinned(case, seed=0) is case


def test_a_case_with_too_few_anomalies_is_skipped(tmp_path: Path) -> None:
    folder = make_case(tmp_path / "tables" / "case", test_rows=40)
    few = thinned(find_cases(folder)[0].read(), seed=0)
    with pytest.raises(Skipped, match="5% takes 4 of 8 anomalies; 5 must stay"):
        drawn_anomalies(few, seed=0)


def test_series_and_other_peers_are_left_out() -> None:
    contamination = Contamination()
    assert contamination.applies(method(), "exchangeable")
    assert contamination.applies(method(peer="pyod_lof"), "exchangeable")
    assert not contamination.applies(method(), "series")
    assert not contamination.applies(method(peer="pyod_ecod"), "exchangeable")


def rows_of(name: str, auroc: list[float]) -> list[dict[str, object]]:
    kept = {"suite": "tables", "case": "a", "seed": "0", "kind": "exchangeable", "failed": ""}
    return [
        {**kept, "method": name, "share": f"{share:g}", "auroc": one, "auprc": one}
        for share, one in zip(SHARES, auroc, strict=True)
    ]


def test_a_loss_is_held_to_that_of_the_peer() -> None:
    table = pd.DataFrame(
        [*rows_of("ours", [0.9, 0.89, 0.88]), *rows_of("pyod_knn", [0.9, 0.9, 0.85])]
    )
    document = Contamination().summary(table, ["ours", "pyod_knn"], "the command")
    assert "| ours | 5% | 0.880 / 0.880 | 2.00 / 2.00 | 0.40 / 0.40 |" in document
    assert (
        "| ours | 2% | 0.890 / 0.890 | 1.00 / 1.00 | – / – |" in document
    )  # the peer lost nothing
    assert "| a | 2.00 / 2.00 | 5.00 / 5.00 |" in document


def test_a_skipped_case_is_named_once_with_the_reason() -> None:
    skipped = {"case": "b", "auroc": np.nan, "auprc": np.nan, "failed": "skipped: too few"}
    rows = rows_of("ours", [0.9, 0.9, 0.9]) + [
        {**one, **skipped} for one in rows_of("ours", [0] * 3)
    ]
    document = Contamination().summary(pd.DataFrame(rows), ["ours"], "the command")
    assert document.count("- b was skipped: too few") == 1
    assert "1 cases" in document
