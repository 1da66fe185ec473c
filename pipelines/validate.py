"""Stage 1: good rows on one side, bad rows with their reasons on the other.

    python -m pipelines.validate [data=press_line] [data.path=data/data.csv]

Bad rows go to artifacts/validated/quarantine.csv; too many of them stop the run.
"""

import shutil
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from kizashi.data.report import parted
from kizashi.data.source import DataSource
from kizashi.data.validate import Validation, examine
from kizashi.runtime.contract import DataContract
from kizashi.tracking import dvc_md5, file_hash
from pipelines.command import artifacts, build, command, setting, settings_of
from pipelines.stages import SETTINGS, StageFiles, write_json


@command("config")
def main(config: DictConfig) -> None:
    source: DataSource = build(config.data)
    frame = source.normal()
    contract = source.contract(frame, setting(config, "window.length", int))
    folder = StageFiles(artifacts(config)).validated
    shutil.rmtree(folder, ignore_errors=True)  # a quarantine of an earlier run must not stay
    folder.mkdir(parents=True)
    normal = _checked(frame, contract, source, folder, "normal", labelled=False)
    labelled = source.labelled_rows()
    if labelled is not None:
        _checked(labelled, contract, source, folder, "labelled", labelled=True)
    write_json(folder / "contract.json", contract.to_dict())
    write_json(folder / SETTINGS, settings_of(config, "data", "window"))
    lineage = {"source": source.path, "sha256": file_hash(Path(source.path))}
    write_json(folder / "report.json", lineage | dvc_md5(Path(source.path)) | normal.report)


def _checked(
    frame: pd.DataFrame,
    contract: DataContract,
    source: DataSource,
    folder: Path,
    name: str,
    *,
    labelled: bool,
) -> Validation:
    """Examine a table and keep its good rows; its quarantine is written even if it is refused."""
    found = examine(frame, contract, source.time_column(frame), labelled, source.max_step)
    if len(found.quarantine):
        quarantine = folder / ("quarantine-labelled.csv" if labelled else "quarantine.csv")
        found.quarantine.to_csv(quarantine, index=False)
        print(f"{name}: {len(found.quarantine):,} bad rows are in {quarantine}")
    found.require_usable(source.max_bad_share)
    if sentence := parted(found.report["stretches"]):
        print(f"{name}: {sentence}")
    for warning in found.report.get("warnings", []):
        print(f"{name}: warning: {warning}")
    found.rows.to_parquet(folder / f"{name}.parquet", index=False)
    print(f"{name}: {len(found.rows):,} good rows of {', '.join(contract.names)}")
    return found


if __name__ == "__main__":
    main()
