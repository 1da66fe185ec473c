"""`-m` tries values out: each in a run of its own, none in what `dvc repro` made."""

import hashlib
from pathlib import Path

from kizashi.runtime.bundle import load_bundle
from tests.end_to_end.checkout import JOURNEY, Checkout

pytestmark = JOURNEY


def test_a_sweep_records_a_run_for_each_value_and_leaves_artifacts_alone(
    trained: Checkout,
) -> None:
    artifacts, runs_before = hashes(trained.folder / "artifacts"), trained.runs()
    swept_before = set(trained.folder.glob("multirun/*"))
    trained.python(
        *("-m", "pipelines.train", "-m", "threshold=quantile,mad", "trainer=fast"),
    )
    assert hashes(trained.folder / "artifacts") == artifacts
    new = [run for key, run in trained.runs().items() if key not in runs_before]
    assert [run.info.status for run in new] == ["FINISHED", "FINISHED"]
    (sweep,) = set(trained.folder.glob("multirun/*")) - swept_before
    bundles = [load_bundle(sweep / job / "bundle") for job in ("0", "1")]
    assert [bundle.detector.threshold.kind for bundle in bundles] == ["quantile", "mad"]
    assert {run.data.tags["bundle_hash"] for run in new} == {bundle.hash for bundle in bundles}


def hashes(folder: Path) -> dict[Path, str]:
    """What every file in `folder` holds."""
    files = filter(Path.is_file, folder.rglob("*"))
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
