"""The page of the versions, in a real browser against the real service."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import expect

from serving.following.cache import Version, Versions
from tests.bundles import press_line_bundle
from tests.serving.pages.service import OpenPage, application, running

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    press_line_bundle(tmp_path / "bundle")
    return application(tmp_path, tmp_path / "bundle")


@pytest.fixture
def service(app: FastAPI) -> Iterator[str]:
    with running(app) as address:
        yield address


def register(app: FastAPI, *versions: Version, more: int = 0) -> None:
    """As the follower writes down what a registry has."""
    cache = app.state.detectors.cache
    cache.write_versions(Versions(name="bundle", versions=list(versions), more=more))


@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize(
    ("language", "serves", "about"),
    [
        ("en", "Serves", "The versions that this host has served"),
        ("ja", "判定中", "このホストが提供した"),
    ],
)
def test_without_a_registry_the_versions_are_those_that_served_here(
    service: str, tmp_path: Path, open_page: OpenPage, width: int, language: str, serves: str,
    about: str,
) -> None:  # fmt: skip
    page = open_page(f"{service}models", width=width, language=language)
    expect(page.locator(".versions tbody tr")).to_have_count(1)
    expect(page.locator(".versions .tag")).to_contain_text(serves)
    expect(page.locator("main")).to_contain_text(about)
    assert "{" not in page.locator("main").inner_text()
    wider: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wider <= 0
    newer = press_line_bundle(tmp_path / "bundle", seed=1)
    expect(page.locator("#notes .note")).to_contain_text(newer.hash[:12])
    page.reload()
    expect(page.locator(".versions tbody tr")).to_have_count(2)
    expect(page.locator(".changes li")).to_have_count(2)


def test_registered_versions_stand_side_by_side_with_what_is_behind_them(
    app: FastAPI, service: str, open_page: OpenPage
) -> None:
    page = open_page(f"{service}models")
    bundle = app.state.detectors.current.bundle
    register(
        app,
        Version(
            version="8",
            aliases=["candidate"],
            tags={"git_commit": "c0ffee" * 6, "git_dirty": "true", "data_hash": "da7a" * 9},
            run_id="r8",
            created="2026-01-31T08:00:00Z",
            page="https://mlflow.example/#/experiments/1/runs/r8",
            metrics={"labelled.recall": 0.875, "holdout.false_alarm_rate": 0.0012},
        ),
        Version(
            version="7",
            aliases=["production", HOSTILE],
            tags={"bundle_hash": bundle.hash, "git_commit": HOSTILE},
            page="javascript:alert(1)",
            metrics={"labelled.recall": 0.75},
        ),
        Version(version="6", tags={"bundle_hash": "../../.."}),
        more=3,
    )
    page.reload()
    rows = page.locator(".versions tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("Candidate")
    expect(rows.nth(0)).to_contain_text("0.875")
    expect(rows.nth(0)).to_contain_text("0.12 %")
    expect(rows.nth(0)).to_contain_text("with uncommitted changes")
    link = rows.nth(0).get_by_role("link", name="Open in MLflow")
    expect(link).to_have_attribute("href", "https://mlflow.example/#/experiments/1/runs/r8")
    expect(rows.nth(1)).to_contain_text("Production")
    expect(rows.nth(1)).to_contain_text(HOSTILE)
    expect(rows.nth(1).get_by_role("link")).to_have_count(0)
    expect(rows.nth(1)).to_contain_text("Conformal")
    expect(page.locator("main")).to_contain_text("3 older versions are left out")
