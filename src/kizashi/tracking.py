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
from kizashi.errors import RegistryError
from kizashi.registry import BUNDLE_HASH, Registry, model_tags, tracking_uri
from kizashi.runtime.bundle import Bundle

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MODEL = "model"
"""The name of the logged model within its run."""


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

    def dataset(self, frame: "pd.DataFrame", source: str, digest: str, context: str) -> None:
        """A table that the run used, by where it came from and its digest."""
        if self._enabled:
            import mlflow

            data = mlflow.data.from_pandas(  # type: ignore[attr-defined]
                frame, source=source, name=Path(source).name, digest=digest[:36]
            )
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

            mlflow.log_metrics({name.replace(" ", "_"): value for name, value in metrics.items()})

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
    """Record what happens inside as one MLflow run; raises RegistryError when MLflow cannot be
    reached."""
    run = Run(tracking)
    if not tracking.enabled:
        yield run
        return
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    uri = tracking_uri(tracking.uri)
    mlflow.set_tracking_uri(uri)
    try:
        mlflow.set_experiment(tracking.experiment)
        active = mlflow.start_run()
    except Exception as error:  # MLflow's stores raise their own, SQLAlchemy's and requests'
        reason = str(error).splitlines()[0]
        raise RegistryError(f"MLflow at {uri} cannot be used: {reason}") from error
    with active:
        run.run_id = active.info.run_id
        yield run
        mlflow.flush_async_logging()  # type: ignore[attr-defined]


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
        pip_requirements=[f"{name}=={version(name)}" for name in ("numpy", "onnxruntime", "pandas")],
    )


def register_bundle(registry: Registry, tracking: Tracking, bundle: Bundle, lineage: Mapping[str, str]) -> Any:
    """Register `bundle` once: from the run that made it, or, where this MLflow has no such run
    (the bundle came from a cache), from a new run that only holds the model."""
    import mlflow

    found = registry.find(bundle.hash)
    if found is not None:
        return registry.register(found.source, found.run_id, {BUNDLE_HASH: bundle.hash})
    mlflow.set_tracking_uri(registry.uri)
    run_id, tags = _run_of(bundle.hash)
    if run_id is None:
        with start_run(tracking) as run:
            tags = dict(lineage) | {BUNDLE_HASH: bundle.hash, "restored": "true"}
            run.tags(tags)
            log_bundle(bundle)
            run_id = run.run_id
    return registry.register(
        f"runs:/{run_id}/{MODEL}", run_id, tags | model_tags(run_id=run_id)
    )


def _run_of(bundle_hash: str) -> tuple[str | None, dict[str, str]]:
    """The newest run that logged this bundle, and its lineage tags."""
    import mlflow

    runs = mlflow.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.{BUNDLE_HASH} = '{bundle_hash}' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
        output_format="list",
    )
    if not runs:
        return None, {}
    tags = {key: value for key, value in runs[0].data.tags.items() if not key.startswith("mlflow.")}
    return runs[0].info.run_id, tags


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
    """The commit of the working folder and whether it has changes that no commit holds; empty
    where there is no git."""
    try:
        commit = _git("rev-parse", "HEAD")
        dirty = bool(_git("status", "--porcelain"))
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"git_commit": commit, "git_dirty": str(dirty).lower()}


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
