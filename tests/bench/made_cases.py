"""Small cases of made data: sensors that follow two hidden loads, and anomalies that do not."""

from pathlib import Path

import numpy as np
import pandas as pd


def make_case(
    folder: Path,
    *,
    train_rows: int = 200,
    test_rows: int = 120,
    sensors: int = 4,
    series: bool = False,
    constant: bool = False,
    seed: int = 0,
) -> Path:
    """Write a case whose last fifth of test rows is anomalous; returns its folder."""
    rng = np.random.default_rng(seed)
    follows_LF = rng.normal(size=(2, sensors))
    total = train_rows + test_rows
    rows_NF = rng.normal(size=(total, 2)) @ follows_LF + 0.1 * rng.normal(size=(total, sensors))
    label_N = np.zeros(total, dtype=np.int64)
    label_N[-(test_rows // 5) :] = 1
    rows_NF[label_N == 1] += rng.normal(size=(int(label_N.sum()), sensors))
    if constant:
        rows_NF[:, 0] = 3.0
    frame = pd.DataFrame(rows_NF, columns=[f"sensor {place}" for place in range(sensors)])
    if series:
        frame.insert(0, "timestamp", pd.date_range("2026-01-01", periods=total, freq="s"))
    frame["label"] = label_N
    folder.mkdir(parents=True)
    frame.head(train_rows).drop(columns="label").to_parquet(folder / "train.parquet")
    frame.tail(test_rows).to_parquet(folder / "test.parquet")
    return folder
