"""Stage 4: make the bundle a version of the registered model, with the alias `candidate`.

The same bundle is registered once, however often this runs. The very first version is promoted to
production; every later one waits for a person:

    python -m pipelines.promote version=N
"""

from omegaconf import DictConfig

from kizashi.registry import PROMOTED_AT, ModelVersion, Registry, model_tags
from kizashi.runtime.bundle import load_bundle
from kizashi.tracking import Tracking, git_state, register_bundle
from pipelines.command import artifacts, build, command, setting
from pipelines.compare import compare_versions
from pipelines.stages import StageFiles


@command("config")
def main(config: DictConfig) -> None:
    files = StageFiles(artifacts(config))
    tracking: Tracking = build(config.tracking)
    if not tracking.enabled:
        print("tracking is off: nothing is registered")
        return
    registry = Registry(tracking.uri, setting(config, "name", str))
    bundle = load_bundle(files.bundle)
    lineage = git_state() | model_tags(data_sha256=files.report()["sha256"])
    version = register_bundle(registry, tracking, bundle, lineage)
    print(f"version {version.version} of '{version.name}' holds bundle {bundle.hash[:12]}")
    production = registry.production()
    if production is None:
        _promote_first(registry, version)
    elif production.version == version.version:
        print(f"version {version.version} is in production")
    else:
        compare_versions(registry, version, production, files)
        print(f"promote it with: python -m pipelines.promote version={version.version}")


def _promote_first(registry: Registry, version: ModelVersion) -> None:
    """Promote only where nothing ever served: production that a person took away stays away."""
    if any(PROMOTED_AT in known.tags for known in registry.versions()):
        print(f"there is no production version; promote this one with: "
              f"python -m pipelines.promote version={version.version}")
        return
    registry.promote(version)
    print(f"it is the first: version {version.version} is promoted to production")


if __name__ == "__main__":
    main()
