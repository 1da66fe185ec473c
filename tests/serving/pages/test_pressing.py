"""What is being pressed stays where it is until it is let go of, whatever is told meanwhile."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.bundles import ANOMALOUS_ROW
from tests.serving.pages.service import OpenPage, send


def by_pointer(page: Page, button: Locator, meanwhile: Callable[[], None]) -> None:
    button.hover()
    page.mouse.down()
    meanwhile()
    page.mouse.up()


def by_key(page: Page, button: Locator, meanwhile: Callable[[], None]) -> None:
    button.focus()
    page.keyboard.down(" ")
    meanwhile()
    page.keyboard.up(" ")


@pytest.mark.parametrize("press", [by_pointer, by_key])
def test_a_button_that_is_being_pressed_while_something_is_told_works(
    service: str, open_page: OpenPage, press: Callable[[Page, Locator, Callable[[], None]], None]
) -> None:
    name = press.__name__
    send(service, f"a-{name}", ANOMALOUS_ROW, 3)
    page = open_page(f"{service}alarms")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")

    def told() -> None:
        send(service, f"b-{name}", ANOMALOUS_ROW, 3)
        expect(page.locator(f"#source-names option[value=b-{name}]")).to_be_attached()

    button = page.get_by_role("button", name=f"Acknowledge: a-{name}")
    expect(button).to_be_visible()
    press(page, button, told)
    expect(page.get_by_role("dialog")).to_contain_text(f"a-{name}")
    expect(page.locator("#current")).to_contain_text(f"b-{name}")
