import re
from pathlib import Path

import pytest

from serving.notify.reasons import FORMS, in_words
from serving.pages.locale import LOCALES

PAGES = Path(__file__).parents[3] / "serving" / "static" / "alarm.js"


def test_messages_know_the_reasons_that_the_pages_know() -> None:
    [table] = re.findall(r"const REASONS = \[(.*?)\n\];", PAGES.read_text("utf-8"), re.DOTALL)
    forms = re.findall(r"^  \[/\^(.*)\$/s?, ", table, re.MULTILINE)
    assert forms == [re.sub(r"\?P<\w+>", "", form.pattern) for form in FORMS.values()]


@pytest.mark.parametrize("language", LOCALES)
def test_what_is_in_none_of_the_forms_stays_as_it_is(language: str) -> None:
    assert in_words("the belt, again", LOCALES[language]) == "the belt, again"
