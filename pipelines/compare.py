"""A version against the one in production, on the rows of the last `dvc repro`."""

import tempfile
from pathlib import Path

from kizashi.errors import KizashiError
from kizashi.evaluation.comparison import compare
from kizashi.registry import ModelVersion, Registry
from kizashi.runtime.bundle import Bundle, load_bundle
from pipelines.rows import labelled_part, part_rows
from pipelines.stages import StageFiles
from pipelines.tables import print_comparison


def fetch_bundle(registry: Registry, version: ModelVersion) -> Bundle:
    """A version's bundle, loaded, verified and tried on its own example."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = load_bundle(registry.download(version, Path(folder)))
    bundle.check_example()
    return bundle


def compare_versions(
    registry: Registry, version: ModelVersion, production: ModelVersion, files: StageFiles
) -> None:
    """Print both side by side, or why they cannot be compared."""
    try:
        candidate = fetch_bundle(registry, version).detector
        present = fetch_bundle(registry, production).detector
        names = {candidate.contract.names, present.contract.names, files.contract().names}
        if len(names) > 1:
            print(
                f"version {production.version} in production has other sensors: "
                f"{', '.join(present.contract.names)}; the two cannot be compared"
            )
            return
        measures = compare(candidate, present, part_rows(files, "holdout"), labelled_part(files))
    except KizashiError as error:
        print(f"no comparison with version {production.version}: {error}")
        return
    print_comparison(measures, version.version, production.version)
