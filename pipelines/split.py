"""Stage 2: validated rows to train, validation, calibration and holdout.

python -m pipelines.split [split=chronological] [split.train=0.6]
"""

from omegaconf import DictConfig

from kizashi.data.load import read_parquet
from pipelines.command import artifacts, build, command, settings_of
from pipelines.stages import SETTINGS, StageFiles, existing, write_json


@command("config")
def main(config: DictConfig) -> None:
    files = StageFiles(artifacts(config))
    parts = build(config.split)(
        read_parquet(existing(files.normal)), files.contract().window_length
    )
    files.split.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        part.to_parquet(files.part(name), index=False)
    write_json(files.split / SETTINGS, settings_of(config, "split"))
    print("rows: " + ", ".join(f"{name} {len(part):,}" for name, part in parts.items()))


if __name__ == "__main__":
    main()
