"""Stage 3: train, calibrate on rows the network never saw, and evaluate what will serve.

One process and one MLflow run. Change anything on the command line, or sweep with -m:

    python -m pipelines.train model=dense model.latent=4 threshold=quantile
    python -m pipelines.train -m model=dense model.latent=1,2,4 scorer=joint,mahalanobis_error
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from kizashi.data.labelled import LabelledRows
from kizashi.data.load import read_parquet
from kizashi.evaluation.report import numbers
from kizashi.evaluation.sensor_limits import SensorLimits
from kizashi.runtime.bundle import Bundle
from kizashi.tracking import Run, Tracking, lineage, start_run
from pipelines.command import artifacts, build, command, settings_of
from pipelines.rows import (
    evaluated,
    labelled_part,
    labelled_tag,
    part_rows,
    rows_to_choose_by,
)
from pipelines.stages import StageFiles, write_json
from pipelines.tables import print_evaluation

if TYPE_CHECKING:
    from kizashi.training.fit import NormalRows

NORMAL_PARTS = ("train", "validation", "calibration")


@command("config")
def main(config: DictConfig) -> None:
    tracking: Tracking = build(config.tracking)
    # Torch and Lightning take seconds to import: help and unknown settings do not wait for them.
    from kizashi.training.fit import NormalRows, fit_bundle
    from pipelines.recipe import recipe

    parts = recipe(config)
    # What a sweep reads was made by `dvc repro`; what it writes is its own.
    inputs, outputs = StageFiles(Path(config.artifacts)), StageFiles(artifacts(config))
    inputs.require_settings("validated", settings_of(config, "data", "window"))
    inputs.require_settings("split", settings_of(config, "split"))
    rows = NormalRows(
        *(part_rows(inputs, part) for part in NORMAL_PARTS), in_time=build(config.split).in_time
    )
    holdout, labelled = part_rows(inputs, "holdout"), labelled_part(inputs)
    losses: dict[str, list[float]] = defaultdict(list)

    with start_run(tracking) as run:
        run.parameters(_described(config))
        run.dataset(read_parquet(inputs.part("train")), inputs.report(), "training")

        def report(epoch: int, epoch_losses: Mapping[str, float]) -> None:
            for name, value in epoch_losses.items():
                losses[name].append(value)
            run.losses(epoch, epoch_losses)

        chosen_by = rows_to_choose_by(parts.threshold, labelled)
        bundle = fit_bundle(parts, inputs.contract(), rows, outputs.bundle, report, chosen_by)
        evaluation = evaluated(bundle, holdout, labelled, _limits(rows, bundle))
        _log_figures(run, bundle, labelled, losses, outputs.figures)
        run.metrics(dict(numbers(evaluation)))
        run.tags(lineage(bundle, inputs.report()) | labelled_tag(bundle, labelled))
        run.model(bundle)
    write_json(outputs.metrics, evaluation)
    print_evaluation(evaluation, bundle)


def _limits(rows: "NormalRows", bundle: Bundle) -> SensorLimits:
    """Limits per sensor from all normal rows, at the false alarm rate of the detector."""
    parts = (rows.train, rows.validation, rows.calibration)
    normal_NF = np.concatenate([part.values_NF for part in parts])
    return SensorLimits.fit(normal_NF, bundle.detector.threshold.false_alarm_rate or 0.001)


def _described(config: DictConfig) -> dict[str, Any]:
    described = OmegaConf.to_container(config, resolve=True)
    assert isinstance(described, dict)
    return {str(key): value for key, value in described.items()}


def _log_figures(
    run: Run,
    bundle: Bundle,
    labelled: LabelledRows | None,
    losses: Mapping[str, list[float]],
    folder: Path,
) -> None:
    from kizashi.evaluation.figures import error_histogram, loss_curves

    detector = bundle.detector
    faulty = []
    if labelled is not None:
        length = detector.contract.window_length
        score_B = detector.score(labelled.rows.windows(length, "labelled rows"))
        faulty = score_B[labelled.label_N[labelled.rows.ends(length)]].tolist()
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"errors": error_histogram(detector, faulty), "losses": loss_curves(losses)}
    for name, figure in pictures.items():
        figure.savefig(folder / f"{name}.png", dpi=120, metadata={"Software": None})
        run.figure(figure, name)


if __name__ == "__main__":
    main()
