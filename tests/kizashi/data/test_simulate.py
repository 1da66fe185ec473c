"""The simulated press line: its files, its surface of healthy rows, its faults and their labels."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from omegaconf import OmegaConf

from kizashi.data.simulate import (
    NOISE,
    PERIOD_SECONDS,
    ROWS_PER_DAY,
    SENSORS,
    TOLERANCE,
    PressLineSample,
    healthy_readings,
    simulate_press_line,
    write_sample,
)

CHECKOUT = Path(__file__).parents[3]
CONFIGURED = OmegaConf.load(CHECKOUT / "conf" / "data" / "press_line.yaml").sensors
FAULTS = {"bearing_wear", "overload", "looseness", "stuck_sensor", "lubrication_loss"}


@pytest.fixture(scope="module")
def sample() -> PressLineSample:
    return simulate_press_line()


def readings(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    return frame[list(SENSORS)].to_numpy()


def episodes(labelled: pd.DataFrame) -> pd.DataFrame:
    """One row an episode: its fault, day and hour of start, number of rows and of labelled rows."""
    number = (labelled["fault"] != labelled["fault"].shift()).cumsum()
    faulty = labelled[labelled["fault"] != ""]
    return faulty.groupby(number).agg(
        fault=("fault", "first"),
        start=("timestamp", "first"),
        rows=("label", "size"),
        labelled=("label", "sum"),
    )


def noise_steps_to_normal(sample: PressLineSample, row: list[float]) -> npt.NDArray[np.float64]:
    """Distances from a row to every normal row in noise standard deviations, nearest first."""
    steps = (readings(sample.normal) - np.array(row)) / np.array(list(NOISE.values()))
    return np.sort(np.linalg.norm(steps, axis=1))


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    write_sample(tmp_path / "first", seed=3)
    write_sample(tmp_path / "second", seed=3)
    for name in ("data.csv", "labelled.csv"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_another_seed_writes_other_bytes(tmp_path: Path) -> None:
    write_sample(tmp_path / "first", seed=0)
    write_sample(tmp_path / "second", seed=1)
    for name in ("data.csv", "labelled.csv"):
        assert (tmp_path / "first" / name).read_bytes() != (tmp_path / "second" / name).read_bytes()


def test_the_files_hold_utc_times_three_decimals_and_plain_line_ends(tmp_path: Path) -> None:
    write_sample(tmp_path)
    data = (tmp_path / "data.csv").read_bytes()
    labelled = (tmp_path / "labelled.csv").read_bytes()
    assert b"\r" not in data + labelled
    lines = data.decode().splitlines()
    assert lines[0] == "timestamp,vibration,current,sound"
    assert lines[1].startswith("2026-01-05T00:00:00Z,")
    assert all(
        len(cell.split(".")[1]) == 3 for line in lines[1:100] for cell in line.split(",")[1:]
    )
    header = next(csv.reader(labelled.decode().splitlines()))
    assert header == ["timestamp", "vibration", "current", "sound", "label", "fault"]


def test_the_files_hold_the_simulated_rows(tmp_path: Path, sample: PressLineSample) -> None:
    write_sample(tmp_path)
    for name, frame in (("data.csv", sample.normal), ("labelled.csv", sample.labelled)):
        read = pd.read_csv(tmp_path / name, parse_dates=["timestamp"], keep_default_na=False)
        pd.testing.assert_frame_equal(
            read.astype({"timestamp": frame["timestamp"].dtype}), frame.reset_index(drop=True)
        )


def test_fourteen_normal_days_are_followed_by_four_labelled_ones(sample: PressLineSample) -> None:
    assert len(sample.normal) == 40_320
    assert len(sample.labelled) == 11_520
    times = pd.concat([sample.normal["timestamp"], sample.labelled["timestamp"]])
    assert (times.diff().dropna() == pd.Timedelta(seconds=PERIOD_SECONDS)).all()


def test_a_row_is_labelled_where_a_fault_moved_a_reading_by_more_than_its_tolerance(
    sample: PressLineSample,
) -> None:
    moved_N3 = np.abs(readings(sample.labelled) - readings(sample.healthy))
    wrong_N = (moved_N3 > np.array(list(TOLERANCE.values()))).any(axis=1)
    np.testing.assert_array_equal(wrong_N, sample.labelled["label"] == 1)
    assert (moved_N3[sample.labelled["fault"] == ""] == 0).all()


def test_every_reading_lies_within_the_instrument_limits(sample: PressLineSample) -> None:
    for frame in sample:
        for sensor in CONFIGURED:
            assert frame[sensor.name].between(sensor.low, sensor.high).all()


@pytest.mark.parametrize("seed", range(3))
def test_each_fault_comes_once_on_each_labelled_day(seed: int) -> None:
    found = episodes(simulate_press_line(seed).labelled)
    assert set(found["fault"]) == FAULTS
    for fault in FAULTS:
        starts = found.loc[found["fault"] == fault, "start"]
        assert starts.dt.day.nunique() == len(starts) == 4
        assert starts.dt.hour.nunique() >= 3


@pytest.mark.parametrize("seed", range(3))
def test_most_labelled_rows_are_healthy(seed: int) -> None:
    labelled = simulate_press_line(seed).labelled
    assert 0.75 <= (labelled["fault"] == "").mean() <= 0.85


def test_a_label_implies_a_named_fault(sample: PressLineSample) -> None:
    wrong = sample.labelled[sample.labelled["label"] == 1]
    assert set(sample.labelled["label"]) == {0, 1}
    assert set(wrong["fault"]) == FAULTS


def test_every_episode_becomes_wrong_beyond_the_tolerance(sample: PressLineSample) -> None:
    assert (episodes(sample.labelled)["labelled"] > 0).all()


def test_early_wear_is_named_before_it_is_labelled(sample: PressLineSample) -> None:
    labelled = sample.labelled
    for start, rows in (
        episodes(labelled).query("fault == 'bearing_wear'")[["start", "rows"]].values
    ):
        first = int(labelled.index[labelled["timestamp"] == start][0])
        wear = labelled["label"].to_numpy()[first : first + rows]
        assert wear[: rows // 10].sum() == 0
        assert wear[-rows // 10 :].all()


def test_a_stuck_sensor_repeats_its_reading_and_is_not_wrong_at_first(
    sample: PressLineSample,
) -> None:
    labelled = sample.labelled
    stuck_sensors = set()
    for start, rows in (
        episodes(labelled).query("fault == 'stuck_sensor'")[["start", "rows"]].values
    ):
        first = int(labelled.index[labelled["timestamp"] == start][0])
        episode = labelled.iloc[first : first + rows]
        constant = [sensor for sensor in SENSORS if episode[sensor].nunique() == 1]
        assert len(constant) == 1
        assert episode["label"].iloc[0] == 0
        stuck_sensors.update(constant)
    assert stuck_sensors == set(SENSORS)


def test_a_tolerance_is_about_six_noise_standard_deviations() -> None:
    for sensor in SENSORS:
        assert TOLERANCE[sensor] / NOISE[sensor] == pytest.approx(6.0, abs=0.2)


def test_the_run_example_lies_among_the_normal_rows(sample: PressLineSample) -> None:
    nearest = noise_steps_to_normal(sample, [1.2, 0.9, 1.1])
    assert nearest[0] < 1.0
    # As crowded there as around a normal row: half of them have their fiftieth neighbour nearer.
    fiftieth = [noise_steps_to_normal(sample, row)[50] for row in readings(sample.normal)[::800]]
    assert nearest[50] < np.median(fiftieth)


def test_the_example_of_an_anomaly_lies_far_from_every_normal_row(sample: PressLineSample) -> None:
    assert noise_steps_to_normal(sample, [1.0, 2.0, 3.0])[0] > 30.0


def test_healthy_readings_of_a_running_press_on_a_mild_day() -> None:
    expected = [[1.207, 0.901, 1.096]]
    assert healthy_readings(np.array([0.45]), np.array([24.0])) == pytest.approx(
        np.array(expected), abs=5e-4
    )


def test_a_value_normal_in_one_regime_is_an_anomaly_in_another(sample: PressLineSample) -> None:
    idle, heavy_cut = healthy_readings(np.array([0.11, 0.82]), np.array([24.0, 24.0]))
    mixed = [float(heavy_cut[0]), float(idle[1]), float(idle[2])]
    for row in (idle.tolist(), heavy_cut.tolist()):
        assert noise_steps_to_normal(sample, row)[0] < 3.0
    assert noise_steps_to_normal(sample, mixed)[0] > 10.0


def test_normal_rows_need_a_curved_surface(sample: PressLineSample) -> None:
    """The plane of the two principal components leaves far more of the rows than noise."""
    rows = readings(sample.normal)
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    left_by_plane = np.linalg.svd(scaled, full_matrices=False)[1][2] / np.sqrt(len(rows))
    noise = max(np.array(list(NOISE.values())) / rows.std(axis=0))
    assert left_by_plane > 2.0 * noise


@pytest.mark.parametrize("seed", range(3))
def test_every_day_visits_every_regime(seed: int) -> None:
    sample = simulate_press_line(seed)
    idle_to_run, run_to_heavy = healthy_readings(np.array([0.25, 0.62]), np.array([24.0, 24.0]))
    vibration = pd.concat([sample.normal, sample.labelled])["vibration"].to_numpy()
    for day in vibration.reshape(-1, ROWS_PER_DAY):
        idle = (day < idle_to_run[0]).mean()
        heavy = (day > run_to_heavy[0]).mean()
        assert 0.08 < idle < 0.30
        assert 0.22 < heavy < 0.42


@pytest.mark.parametrize("seed", range(3))
def test_limits_per_sensor_find_some_faulty_rows_but_at_most_six_in_ten(seed: int) -> None:
    """Limits with a false alarm rate of 0.1 % of the rows, shared over two limits a sensor."""
    sample = simulate_press_line(seed)
    low, high = np.quantile(readings(sample.normal), [0.001 / 6, 1 - 0.001 / 6], axis=0)
    wrong = readings(sample.labelled[sample.labelled["label"] == 1])
    found = ((wrong < low) | (wrong > high)).any(axis=1).mean()
    assert 0.1 < found <= 0.6


@pytest.mark.parametrize("page", ["docs/sample-data.md", "docs/ja/sample-data.md"])
def test_the_documented_noise_and_tolerances_are_those_of_the_simulator(page: str) -> None:
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    for sensor in CONFIGURED:
        noise, tolerance = NOISE[sensor.name], TOLERANCE[sensor.name]
        assert f"| {noise:.3f} {sensor.unit} | {tolerance:.2f} {sensor.unit} |" in text


def test_the_configured_sensors_are_those_of_the_simulator() -> None:
    assert tuple(sensor.name for sensor in CONFIGURED) == SENSORS
