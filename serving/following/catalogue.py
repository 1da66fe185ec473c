"""What a registry has of a model, for people who compare versions; part of the follower."""

import math
import time
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit, urlunsplit

from kizashi.errors import RegistryError
from kizashi.registry import ModelVersion, Registry, Run
from serving.following.cache import Version, Versions

AGAIN_SECONDS = 15.0
"""To list every version is too much to ask for at every look."""
MOST_VERSIONS = 30
MOST_METRICS = 60
LEFT_OUT = ".faults."
"""Metrics of single kinds of faults: dozens, which nobody compares beside one another."""


class Catalogue:
    """The versions of one registered model; runs are asked for once, as they do not change."""

    def __init__(self, tracking_uri: str, name: str) -> None:
        self.registry = Registry(tracking_uri, name)
        self._pages = pages_of(tracking_uri)
        self._runs: dict[str, Run] = {}
        self._looked: tuple[str, float] | None = None

    def look(self, serving: str) -> Versions | None:
        """Every version, asked for anew when the version `serving` is another one, or after a
        while; None otherwise. Raises RegistryError and RegistryUnreachable."""
        if self._looked is not None:
            before, since = self._looked
            if before == serving and time.monotonic() - since < AGAIN_SECONDS:
                return None
        aliases = self.registry.aliases()
        every = self.registry.versions()[::-1]
        wanted = every[:MOST_VERSIONS]
        named = {*aliases.values(), serving}
        wanted += [one for one in every[MOST_VERSIONS:] if one.version in named]
        described = [self._described(one, aliases) for one in wanted]
        self._looked = (serving, time.monotonic())
        return Versions(
            name=self.registry.name, versions=described, more=len(every) - len(described)
        )

    def _described(self, found: ModelVersion, aliases: dict[str, str]) -> Version:
        run = self._run(found.run_id)
        metrics = {} if run is None else run.metrics
        kept = [name for name in sorted(metrics) if LEFT_OUT not in name][:MOST_METRICS]
        return Version(
            version=found.version,
            aliases=sorted(alias for alias, version in aliases.items() if version == found.version),
            tags=dict(found.tags),
            run_id=found.run_id or "",
            created=_moment(found.created),
            page=self._page(found, run),
            metrics={name: metrics[name] for name in kept if math.isfinite(metrics[name])},
        )

    def _run(self, run_id: str | None) -> Run | None:
        if run_id and run_id not in self._runs:
            try:
                self._runs[run_id] = self.registry.run(run_id)
            except RegistryError:  # it was deleted
                return None
        return self._runs.get(run_id or "")

    def _page(self, found: ModelVersion, run: Run | None) -> str:
        if not self._pages:
            return ""
        if run is None or not found.run_id:
            return f"{self._pages}/#/models/{quote(found.name, safe='')}/versions/{found.version}"
        return f"{self._pages}/#/experiments/{quote(run.experiment)}/runs/{quote(found.run_id)}"


def pages_of(tracking_uri: str) -> str:
    """Where a browser finds the pages of the MLflow at `tracking_uri`, without a password that is
    in it; empty for a store that has none."""
    found = urlsplit(tracking_uri)
    if found.scheme not in ("http", "https"):
        return ""
    place = found.netloc.rpartition("@")[2]
    return urlunsplit((found.scheme, place, found.path.rstrip("/"), "", ""))


def _moment(milliseconds: int) -> str:
    if not milliseconds:
        return ""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
