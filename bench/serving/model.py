"""The rows and the model of the bench: simulated sensors and the default detector, trained on them.

The rows follow four hidden states through smooth curves, with noise: a simulation, not a machine.
"""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig

from kizashi.registry import quiet_mlflow
from kizashi.runtime.bundle import Bundle
from kizashi.runtime.contract import DataContract, Sensor
from kizashi.runtime.windows import Rows
from kizashi.tracking import log_bundle
from kizashi.training.fit import NormalRows, fit_bundle
from pipelines.recipe import recipe

FloatArray = npt.NDArray[np.float64]

STATES = 4
NOISE = 0.05
CALIBRATION_SHARE = 0.25


def simulated_rows(count: int, sensors: int, seed: int = 0) -> FloatArray:
    """Normal rows, shape (count, sensors); the same curves for every seed."""
    curves, rng = np.random.default_rng(0), np.random.default_rng([seed, 1])
    mixed, phase = curves.normal(size=(STATES, sensors)), curves.uniform(0, 6, sensors)
    states = rng.uniform(-1, 1, (count, STATES))
    rows_NF = np.sin(states @ mixed + phase) + NOISE * rng.normal(size=(count, sensors))
    return np.asarray(rows_NF.round(4))


def fit_model(config: DictConfig, rows_NF: FloatArray, folder: Path) -> Bundle:
    """The configured detector, which is the default one, on rows that have no order."""
    sensors = tuple(Sensor(f"sensor_{index:02}") for index in range(rows_NF.shape[1]))
    held_out = int(len(rows_NF) * CALIBRATION_SHARE)
    rows = Rows(rows_NF)
    parts = NormalRows(rows[held_out:], rows[:0], rows[:held_out])
    return fit_bundle(recipe(config), DataContract(sensors), parts, folder)


def log_model(bundle: Bundle, work: Path) -> Path:
    """The folder of the bundle as MLflow logs it, in a store of its own below `work`."""
    mlflow = quiet_mlflow()
    mlflow.set_tracking_uri(f"sqlite:///{work / 'mlflow.db'}")
    if mlflow.get_experiment_by_name("bench") is None:
        mlflow.create_experiment("bench", (work / "mlflow").as_uri())
    mlflow.set_experiment("bench")
    with mlflow.start_run():
        log_bundle(bundle)
    logged = mlflow.last_logged_model()
    return Path(url2pathname(urlsplit(logged.artifact_location).path))
