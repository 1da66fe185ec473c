"""Stage 4: make the bundle a version of the registered model, with the alias `candidate`.

    python -m pipelines.register

The same bundle is registered once, however often this runs. The very first version is promoted to
production; every later one waits for a person:

    python -m pipelines.promote version=N
"""

from omegaconf import DictConfig

from kizashi.registry import ModelVersion, Registry
from kizashi.runtime.bundle import load_bundle
from kizashi.tracking import Tracking, lineage, register_bundle
from pipelines.command import artifacts, build, command, setting
from pipelines.stages import StageFiles, existing


@command("config")
def main(config: DictConfig) -> None:
    files = StageFiles(artifacts(config))
    tracking: Tracking = build(config.tracking)
    if not tracking.enabled:
        print("tracking is off: nothing is registered")
        return
    registry = Registry(tracking.uri, setting(config, "name", str))
    bundle = load_bundle(existing(files.bundle))
    version = register_bundle(registry, tracking, bundle, lineage(bundle, files.report()))
    print(f"version {version.version} of '{version.name}' holds bundle {bundle.hash[:12]}")
    production = registry.production()
    if production is None:
        _promote_first(registry, version)
    elif production.version == version.version:
        print(f"version {version.version} is in production")
    else:
        # pandas is imported for a comparison alone: an unchanged `dvc repro` does without.
        from pipelines.compare import compare_versions

        compare_versions(registry, version, production, files)
        print(f"promote it with: python -m pipelines.promote version={version.version}")


def _promote_first(registry: Registry, version: ModelVersion) -> None:
    """Promote only where nothing ever served: production that a person took away stays away."""
    if registry.promotions():
        print(
            f"there is no production version; promote this one with: "
            f"python -m pipelines.promote version={version.version}"
        )
        return
    registry.promote(version)
    print(f"it is the first: version {version.version} is promoted to production")


if __name__ == "__main__":
    main()
