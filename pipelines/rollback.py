"""Bring the previous production version back.

python -m pipelines.rollback
"""

from omegaconf import DictConfig

from kizashi.registry import Registry
from kizashi.tracking import Tracking
from pipelines.command import build, command, setting
from pipelines.compare import fetch_bundle


@command("rollback")
def main(config: DictConfig) -> None:
    tracking: Tracking = build(config.tracking)
    registry = Registry(tracking.uri, setting(config, "name", str))
    previous = registry.previous_production()
    present = registry.production()
    fetch_bundle(registry, previous)
    registry.roll_back(previous)
    print(f"version {previous.version} of '{previous.name}' is in production again", end="")
    print(f"; version {present.version} is out" if present else "")


if __name__ == "__main__":
    main()
