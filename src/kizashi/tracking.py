"""One MLflow run: what went in, what came out, and the model itself.

Run and model version carry the same tags, so either leads back to the data, the commit and the
bundle.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kizashi
from kizashi.errors import RegistryError, RegistryUnreachable
from kizashi.registry import (
    BUNDLE_HASH,
    ModelVersion,
    Registry,
    quiet_mlflow,
    tracking_uri,
    without_password,
)
from kizashi.runtime.bundle import Bundle

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MODEL = "model"
"""The name of the logged model within its run."""
LONGEST_NAME = 240
"""MLflow takes metric names of 250 characters; a number may follow."""


@dataclass(frozen=True)
class Tracking:
    """Where runs are recorded; `uri` None means MLFLOW_TRACKING_URI or the local SQLite file."""

    experiment: str = "kizashi"
    uri: str | None = None
    enabled: bool = True


class Run:
    """A run being recorded; every method does nothing when tracking is off."""

    def __init__(self, tracking: Tracking) -> None:
        self._enabled = tracking.enabled
        self.run_id: str | None = None

    def parameters(self, config: Mapping[str, Any]) -> None:
        """The composed configuration: whole as an artifact, flat as parameters."""
        if self._enabled:
            import mlflow

            mlflow.log_dict(dict(config), "config.yaml")
            mlflow.log_params(dict(_flat(config)))

    def dataset(self, frame: "pd.DataFrame", report: Mapping[str, Any], context: str) -> None:
        """A table that the run used; `report` of its validation says where it came from and the
        hash of that file."""
        if self._enabled:
            import mlflow
            from mlflow.data.pandas_dataset import from_pandas
            from mlflow.data.sources import (  # type: ignore[attr-defined]  # made at its import
                LocalArtifactDatasetSource,
            )

            origin = Path(report["source"]).absolute()
            source = LocalArtifactDatasetSource(origin.as_uri())
            data = from_pandas(frame, source=source, name=origin.name, digest=report["sha256"][:36])
            mlflow.log_input(data, context=context)

    def losses(self, epoch: int, losses: Mapping[str, float]) -> None:
        """The losses of one epoch, as a point of each curve."""
        if self._enabled:
            import mlflow

            mlflow.log_metrics(dict(losses), step=epoch, synchronous=False)

    def metrics(self, metrics: Mapping[str, float]) -> None:
        """Figures of the finished model."""
        if self._enabled:
            import mlflow

            mlflow.log_metrics(_allowed(metrics))

    def figure(self, figure: "Figure", name: str) -> None:
        """A picture, as `figures/NAME.png`."""
        if self._enabled:
            import mlflow

            mlflow.log_figure(figure, f"figures/{name}.png")

    def tags(self, tags: Mapping[str, str]) -> None:
        """Lineage."""
        if self._enabled:
            import mlflow

            mlflow.set_tags(dict(tags))

    def model(self, bundle: Bundle) -> None:
        """The bundle as a pyfunc model, with signature and input example."""
        if self._enabled:
            log_bundle(bundle)


@contextmanager
def start_run(tracking: Tracking) -> Iterator[Run]:
    """Record what happens inside as one MLflow run.

    Raises RegistryUnreachable when MLflow cannot be reached.
    """
    run = Run(tracking)
    if not tracking.enabled:
        yield run
        return
    mlflow = quiet_mlflow()
    uri = tracking_uri(tracking.uri)
    mlflow.set_tracking_uri(uri)
    try:
        # `mlflow run` has made the run already, in the experiment it was told.
        if "MLFLOW_RUN_ID" not in os.environ:
            mlflow.set_experiment(tracking.experiment)
        active = mlflow.start_run()
    except Exception as error:  # MLflow's stores raise their own, SQLAlchemy's and requests'
        reason = str(error).splitlines()[0]
        raise RegistryUnreachable(
            without_password(f"MLflow at {uri} cannot be used: {reason}")
        ) from error
    with active:
        run.run_id = active.info.run_id
        yield run
        mlflow.flush_async_logging()


def log_bundle(bundle: Bundle) -> None:
    """Log `bundle` as the model of the active run."""
    import mlflow
    import pandas as pd
    from mlflow.models import infer_signature

    from kizashi.pyfunc import DetectorModel

    example = pd.DataFrame(bundle.example, columns=list(bundle.detector.contract.names))
    mlflow.pyfunc.log_model(
        name=MODEL,
        loader_module="kizashi.pyfunc",
        data_path=str(bundle.folder),
        code_paths=[str(Path(kizashi.__file__).parent)],
        signature=infer_signature(example, DetectorModel(bundle.detector).predict(example)),
        input_example=example,
        pip_requirements=[
            f"{name}=={version(name)}" for name in ("numpy", "onnxruntime", "pandas")
        ],
    )


def lineage(bundle: Bundle, report: Mapping[str, Any]) -> dict[str, str]:
    """The tags that lead from a run or a version back to what it was made of, with the rule that
    set its threshold; `report` is that of the data's validation."""
    threshold = bundle.detector.threshold
    tags = {"data_source": report["source"], "data_hash": report["sha256"]}
    tags["threshold_rule"] = threshold.in_effect
    if threshold.reason:
        tags["threshold_reason"] = threshold.reason
    if "dvc_md5" in report:
        tags["data_dvc_md5"] = report["dvc_md5"]
    return git_state() | tags | {BUNDLE_HASH: bundle.hash}


def register_bundle(
    registry: Registry, tracking: Tracking, bundle: Bundle, tags: Mapping[str, str]
) -> ModelVersion:
    """Register `bundle` once, as the model of the run that made it.

    Where this MLflow has no such run (the bundle came from a cache), a new run that only holds the
    model takes its place, with `tags` as lineage.
    """
    found = registry.find(bundle.hash)
    if found is not None:
        return registry.register(found.source, found.run_id, found.tags)
    run = _run_of(registry, bundle.hash)
    if run is None:
        with start_run(tracking) as restored:
            restored.tags(dict(tags) | {"restored": "true"})
            restored.model(bundle)
        run = _run_of(registry, bundle.hash)
    if run is None:
        raise RegistryError(f"MLflow at {registry.uri} does not find the run it just recorded")
    return registry.register(*run)


def _run_of(registry: Registry, bundle_hash: str) -> tuple[str, str, dict[str, str]] | None:
    """Of the newest run that logged this bundle: its model's URI, its id and its lineage tags."""
    import mlflow

    mlflow.set_tracking_uri(registry.uri)
    found = mlflow.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.{BUNDLE_HASH} = '{bundle_hash}' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        output_format="list",
    )
    for run in found:
        models = run.outputs.model_outputs if run.outputs else []
        if models:
            tags = {k: v for k, v in run.data.tags.items() if not k.startswith("mlflow.")}
            run_id = run.info.run_id
            return f"models:/{models[0].model_id}", run_id, tags | {"run_id": run_id}
    return None


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def dvc_md5(path: Path) -> dict[str, str]:
    """What DVC calls the version of the tracked file or folder that `path` is or lies in, as
    `dvc_md5`; empty where DVC tracks neither."""
    for tracked in (path, *path.parents):
        pointer = tracked.with_name(f"{tracked.name}.dvc") if tracked.name else None
        if pointer is not None and pointer.is_file():
            found = re.search(r"^\s*-?\s*md5:\s*(\S+)", pointer.read_text(), re.MULTILINE)
            return {"dvc_md5": found[1]} if found else {}
    return {}


def git_state() -> dict[str, str]:
    """The commit of the working folder and whether its code or configuration has changes that no
    commit holds; empty where there is no git.

    `data.dvc` and `dvc.lock` do not count: `dvc repro` writes them on the way, and the data has a
    hash of its own.
    """
    try:
        commit = _git("rev-parse", "HEAD")
        dirty = bool(_git("status", "--porcelain", "--", ".", ":!data.dvc", ":!dvc.lock"))
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"git_commit": commit, "git_dirty": str(dirty).lower()}


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _allowed(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics under names that MLflow takes: fault names are the user's and hold anything.

    MLflow refuses most punctuation, paths and long names, and on Windows colons. Two names that
    would become one are numbered.
    """
    named: dict[str, float] = {}
    for name, value in metrics.items():
        plain = allowed = re.sub(r"[^\w.-]+", "_", name)[:LONGEST_NAME]
        number = 1
        while allowed in named:
            number += 1
            allowed = f"{plain}_{number}"
        named[allowed] = value
    return named


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
