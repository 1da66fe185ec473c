"""Which version a model URI means."""

import pytest

from kizashi.errors import RegistryError
from kizashi.registry import (
    PRODUCTION,
    Registry,
)
from tests.kizashi.conftest import MLFLOWS_OWN_WARNINGS
from tests.kizashi.registry.conftest import Model

pytestmark = MLFLOWS_OWN_WARNINGS


def test_every_form_of_uri_means_its_version(model: Model) -> None:
    model.add(4)
    model.point(PRODUCTION, "1")
    model.point("shadow", "2")
    model.stage("3", "Staging")
    uris = {
        f"models:/{model.name}": "1",
        f"models:/{model.name}@{PRODUCTION}": "1",
        f"models:/{model.name}@shadow": "2",
        f"models:/{model.name}/Staging": "3",
        f"models:/{model.name}/staging": "3",
        f"models:/{model.name}/3": "3",
        f"models:/{model.name}/latest": "4",
    }
    # The model is the URI's, whatever model the registry was made for.
    registry = Registry(model.registry.uri, "another")
    for uri, expected in uris.items():
        found = registry.resolve(uri)
        assert found.version == expected, uri
        assert found.name == model.name


def test_a_name_alone_falls_back_to_the_legacy_stage(model: Model) -> None:
    model.add(2)
    model.stage("2", "Production")
    assert model.registry.resolve(f"models:/{model.name}").version == "2"


def test_a_run_uri_means_the_run_and_its_path(model: Model) -> None:
    found = model.registry.resolve("runs:/0123456789abcdef/model")
    assert found.run_id == "0123456789abcdef"
    assert found.version == "run 01234567"
    assert found.source == "runs:/0123456789abcdef/model"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/{}", "has no production version; promote one with: python -m pipelines.promote"),
        ("models:/{}@shadow", "has no alias 'shadow'"),
        ("models:/{}/Archived", "has no version in stage 'Archived'"),
        ("models:/{}/latest", "has no version in stage 'latest'"),
        ("models:/{}/7", "has no version 7; there are: none"),
    ],
)
def test_a_uri_that_means_no_version_says_what_is_missing(
    model: Model, uri: str, message: str
) -> None:
    with pytest.raises(RegistryError) as refused:
        model.registry.resolve(uri.format("absent"))
    assert str(refused.value).startswith("model 'absent' ")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "uri", ["kizashi", "models:/", "models:/a/b/c", "models:/a@b/c", "s3://bucket/model", ""]
)
def test_a_uri_of_no_known_form_is_refused_with_those_that_are_known(uri: str) -> None:
    with pytest.raises(RegistryError, match=r"models:/NAME, .* or a bundle folder is needed$"):
        Registry("sqlite:///never-opened.db").resolve(uri)
