"""Let a registered version serve.

    python -m pipelines.promote version=3
    python -m pipelines.promote version=candidate

It is compared with the present production version first; running services follow within seconds.
"""

from pathlib import Path

from omegaconf import DictConfig

from kizashi.errors import ConfigurationError
from kizashi.registry import CANDIDATE, ModelVersion, Registry
from kizashi.tracking import Tracking
from pipelines.command import build, command, setting
from pipelines.compare import compare_versions, fetch_bundle
from pipelines.stages import StageFiles


@command("promote")
def main(config: DictConfig) -> None:
    tracking: Tracking = build(config.tracking)
    registry = Registry(tracking.uri, setting(config, "name", str))
    version = _chosen(registry, setting(config, "version", int | str | None))
    production = registry.production()
    if production and production.version == version.version:
        print(f"version {version.version} is in production already")
        return
    fetch_bundle(registry, version)  # a broken bundle stops here, before anything serves it
    if production:
        compare_versions(registry, version, production, StageFiles(Path(config.artifacts)))
    registry.promote(version)
    print(f"version {version.version} of '{version.name}' is in production", end="")
    print(f"; it replaces version {production.version}" if production else "")
    for note in registry.notes():
        print(f"note: {note}")


def _chosen(registry: Registry, version: int | str | None) -> ModelVersion:
    if version is None:
        known = ", ".join(found.version for found in registry.versions()) or "none"
        raise ConfigurationError(
            f"version is missing; use: python -m pipelines.promote version=N (there are: {known})"
        )
    if version == CANDIDATE:
        return registry.resolve(f"models:/{registry.name}@{CANDIDATE}")
    return registry.version(str(version))


if __name__ == "__main__":
    main()
