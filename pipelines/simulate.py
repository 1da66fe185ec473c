"""Make the bundled sample again, byte for byte: a simulated press line, not real data.

python -m pipelines.simulate [seed=0] [output=data]
"""

from pathlib import Path

from omegaconf import DictConfig

from kizashi.data.simulate import write_sample
from pipelines.command import command, setting


@command("simulate")
def main(config: DictConfig) -> None:
    folder = Path(setting(config, "output", str))
    write_sample(folder, setting(config, "seed", int))
    print(f"simulated press line written to {folder}/data.csv and {folder}/labelled.csv")


if __name__ == "__main__":
    main()
