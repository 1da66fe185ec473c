"""Which version is production, and which one a rollback goes back to."""

import pytest

from kizashi.errors import RegistryError
from kizashi.registry import (
    PRODUCTION,
    PROMOTED_AT,
)
from tests.kizashi.conftest import MLFLOWS_OWN_WARNINGS
from tests.kizashi.registry.conftest import Model

pytestmark = MLFLOWS_OWN_WARNINGS


def test_production_is_the_alias(model: Model) -> None:
    model.add(2)
    model.point(PRODUCTION, "2")
    present = model.registry.production()
    assert present is not None
    assert present.version == "2"


def test_without_the_alias_production_is_the_newest_version_in_the_legacy_stage(
    model: Model,
) -> None:
    model.add(3)
    model.stage("1", "Production")
    model.stage("2", "Production")
    model.stage("3", "Staging")
    present = model.registry.production()
    assert present is not None
    assert present.version == "2"
    model.stage("2", "Archived")
    assert model.serving() == "1"
    model.stage("1", "Archived")
    assert model.registry.production() is None


def test_the_alias_comes_before_the_stage_and_a_note_says_when_they_disagree(
    model: Model,
) -> None:
    model.add(2)
    model.stage("2", "Production")
    assert model.registry.notes() == []
    model.point(PRODUCTION, "1")
    assert model.serving() == "1"
    (note,) = model.registry.notes()
    assert note == (
        "version 2 is in the stage Production, but the alias 'production' is at version 1: "
        "the alias decides"
    )
    model.point(PRODUCTION, "2")
    assert model.registry.notes() == []


def test_rollbacks_go_back_one_promotion_at_a_time_and_stop_at_the_first(model: Model) -> None:
    model.add(3)
    model.promote("1", "2", "3")
    assert model.roll_back() == "2"
    assert model.roll_back() == "1"
    with pytest.raises(RegistryError, match=r"^version 1 of .* is the first that was promoted"):
        model.registry.previous_production()


def test_rollbacks_do_not_go_to_and_fro_over_a_version_that_was_promoted_twice(
    model: Model,
) -> None:
    model.add(2)
    model.promote("1", "2", "1")
    assert model.registry.promotions() == ["1", "2", "1"]
    assert model.roll_back() == "2"
    assert model.roll_back() == "1"
    with pytest.raises(RegistryError, match=r"^version 1 of .* is the first that was promoted"):
        model.registry.previous_production()


def test_a_rollback_passes_over_a_version_that_was_deleted(model: Model) -> None:
    model.add(3)
    model.promote("1", "2", "3")
    model.client.delete_model_version(model.name, "2")
    assert model.roll_back() == "1"


def test_when_a_version_was_promoted_is_kept_with_it(model: Model) -> None:
    model.add(2)
    model.promote("1")
    assert int(model.registry.version("1").tags[PROMOTED_AT]) > 0
    assert PROMOTED_AT not in model.registry.version("2").tags


def test_a_promotion_after_a_rollback_rolls_back_to_what_it_replaced(model: Model) -> None:
    model.add(3)
    model.promote("1", "2")
    assert model.roll_back() == "1"
    model.promote("3")
    assert model.roll_back() == "1"


def test_a_version_can_be_promoted_again_after_it_was_rolled_back(model: Model) -> None:
    model.add(2)
    model.promote("1", "2")
    model.roll_back()
    assert model.registry.promotions() == ["1"]
    model.promote("2")
    assert model.registry.promotions() == ["1", "2"]
    assert model.serving() == "2"
    assert model.roll_back() == "1"


def test_promoting_the_production_version_again_keeps_what_it_replaced(model: Model) -> None:
    model.add(2)
    model.promote("1", "2", "2")
    assert model.roll_back() == "1"


def test_a_promotion_over_a_legacy_stage_remembers_it(model: Model) -> None:
    model.add(2)
    model.stage("1", "Production")
    model.promote("2")
    assert model.roll_back() == "1"


def test_after_a_promotion_in_the_mlflow_page_the_previous_version_is_the_last_promoted(
    model: Model,
) -> None:
    model.add(3)
    model.promote("1", "2")  # within the same second, as a script may
    model.point(PRODUCTION, "3")
    assert model.roll_back() == "2"
    assert model.roll_back() == "1"


def test_no_rollback_returns_to_a_version_that_a_rollback_left(model: Model) -> None:
    model.add(3)
    model.promote("1", "2")
    model.roll_back()  # 2 was no good
    model.point(PRODUCTION, "3")
    assert model.roll_back() == "1"


def test_a_rollback_to_a_version_of_the_mlflow_page_goes_on_to_the_one_before(
    model: Model,
) -> None:
    model.add(3)
    model.promote("1")
    model.point(PRODUCTION, "2")
    model.promote("3")
    assert model.roll_back() == "2"
    assert model.roll_back() == "1"


def test_there_is_nothing_to_roll_back_from_without_production(model: Model) -> None:
    model.add()
    message = f"^model '{model.name}' has no production version to roll back from$"
    with pytest.raises(RegistryError, match=message):
        model.registry.previous_production()


def test_the_first_production_version_has_no_previous_one_wherever_it_was_promoted(
    model: Model,
) -> None:
    model.add()
    model.point(PRODUCTION, "1")
    with pytest.raises(RegistryError, match=r"^version 1 of .* is the first that was promoted"):
        model.registry.previous_production()
