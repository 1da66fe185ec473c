"""GET /models: the versions there are, side by side, and what served when.

What a registry has of them the follower leaves in the cache; without a registry the versions are
those that this host has served. Every text of a registry is somebody's, and shown as text alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from kizashi.errors import KizashiError
from kizashi.runtime.thresholds import Threshold
from serving.following.cache import Cache, Pointer, Version
from serving.following.detectors import Detectors, Served
from serving.pages.frame import asked_locale, page, script_data
from serving.pages.locale import Locale
from serving.pages.numbers import percent, short
from serving.pages.trying import waiting
from serving.pages.view import SHOWN_HASH, fields, lineage, model_data, threshold_words

METRICS = {
    "labelled.auroc": "share",
    "labelled.auprc": "share",
    "labelled.precision": "share",
    "labelled.recall": "share",
    "labelled.f1": "share",
    "holdout.false_alarm_rate": "percent",
}
"""Of all metrics those by which versions are compared, and how each is written."""
EVALUATED = "holdout.threshold"
"""The threshold of a version whose bundle is not in the cache."""
MARKS = ("production", "candidate")
DIRTY = ("true", "1", "yes")

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Row:
    """One version. `marks` are its aliases; `threshold` and `rule` are its bundle's, known where
    that is in this host's cache (`kept`); `page` is an address of MLflow's, empty without one."""

    version: str
    serving: bool
    marks: tuple[str, ...]
    created: str
    metrics: Mapping[str, str]
    threshold: str
    rule: str
    bundle: str
    kept: bool
    data: str
    commit: str
    dirty: bool
    run: str
    page: str


@router.get("/models", response_class=HTMLResponse)
def models_page(request: Request) -> Response:
    """503 with a page that waits when there is no model yet."""
    locale = asked_locale(request)
    detectors: Detectors = request.app.state.detectors
    served = detectors.current
    if served is None:
        return waiting(request, locale, "models")
    cache = detectors.cache
    known = cache.versions()
    registered = known is not None and known.name == served.name
    rows = versions(cache, served, locale)
    shown = {
        "place": "models",
        "data": script_data(request, locale, model=model_data(served)),
        "served": served,
        "rows": rows,
        "metrics": [name for name in METRICS if any(name in row.metrics for row in rows)],
        "more": known.more if registered and known is not None else 0,
        "registered": registered,
        "history": cache.served(),
        "lineage": lineage(served),
        "contract": served.detector.contract,
        "fields": fields(served),
        "scorer": served.detector.scorer.kind,
        "scaler": served.detector.scaler.kind,
        "calibration_rows": len(served.detector.calibration.scores),
        "threshold": threshold_words(served.detector.threshold, locale),
        "status": cache.status(),
    }
    return page(request, "models.html", locale, shown)


def versions(cache: Cache, served: Served, locale: Locale) -> list[Row]:
    """Every version that is known of, newest first."""
    known = cache.versions()
    if known is not None and known.name == served.name:
        found = known.versions
    else:
        found = [_version(pointer) for pointer in _once(cache.served() or [served.pointer])]
    return [_row(cache, served, one, locale) for one in found]


def _once(pointers: list[Pointer]) -> list[Pointer]:
    """Each version once, as it served last."""
    return list({(one.name, one.version): one for one in reversed(pointers)}.values())[::-1]


def _version(pointer: Pointer) -> Version:
    tags = {"bundle_hash": pointer.bundle} | pointer.tags
    run_id = pointer.tags.get("run_id", "")
    return Version(version=pointer.version, tags=tags, run_id=run_id, created=pointer.since)


def _row(cache: Cache, served: Served, found: Version, locale: Locale) -> Row:
    tags, bundle = found.tags, found.tags.get("bundle_hash", "")
    serving = found.version == served.version
    threshold = _threshold(cache, bundle)
    words = None if threshold is None else threshold_words(threshold, locale)
    return Row(
        version=found.version,
        serving=serving,
        marks=tuple(sorted(found.aliases, key=lambda one: (one not in MARKS, one))),
        created=found.created,
        metrics={
            name: _written(found.metrics[name], how)
            for name, how in METRICS.items()
            if name in found.metrics
        },
        threshold=_evaluated(found) if words is None else words.value,
        rule=_rule(tags, locale) if words is None else words.rule,
        bundle=bundle[:SHOWN_HASH],
        kept=threshold is not None,
        data=(tags.get("data_hash") or tags.get("data_sha256", ""))[:SHOWN_HASH],
        commit=tags.get("git_commit", "")[:SHOWN_HASH],
        dirty=tags.get("git_dirty", "").lower() in DIRTY,
        run=found.run_id[:SHOWN_HASH],
        page=found.page if found.page.startswith(("http://", "https://")) else "",
    )


def _threshold(cache: Cache, bundle: str) -> Threshold | None:
    """The threshold of a bundle that lies in the cache; its arrays are not loaded for that."""
    if not (bundle.isalnum() and bundle.isascii()):
        return None  # a tag is anybody's text, and this one becomes a path
    try:
        content = (cache.bundle_folder(bundle) / "detector.json").read_bytes()
        return Threshold.from_dict(json.loads(content)["threshold"])
    except (OSError, ValueError, KeyError, TypeError, KizashiError):
        return None


def _evaluated(found: Version) -> str:
    return short(found.metrics[EVALUATED]) if EVALUATED in found.metrics else ""


def _rule(tags: Mapping[str, str], locale: Locale) -> str:
    rule = tags.get("threshold_rule", "")
    words = locale.texts.get(f"rule.{rule}", rule)
    return rule if "{" in words else words


def _written(value: float, how: str) -> str:
    return f"{value:.3f}" if how == "share" else percent(value)
