import re
from pathlib import Path
from string import Formatter

import pytest

from serving.pages.locale import LOCALES, choose

SERVING = Path(__file__).parents[3] / "serving"


def _sources(folder: str, suffix: str) -> str:
    return "\n".join(path.read_text() for path in sorted((SERVING / folder).glob(f"*{suffix}")))


SERVER_SIDE = _sources("templates", ".html") + _sources("pages", ".py")
SERVER_SIDE += _sources("notify", ".py")
SCRIPTS = _sources("static", ".js")


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def _used() -> tuple[set[str], set[str]]:
    """Keys that the code names, and beginnings that it completes from data."""
    keys = set(re.findall(r"""\bt\(\s*"([\w.]+\w)"[,)\s]""", SERVER_SIDE))
    keys |= set(re.findall(r'locale\("([\w.]+)"\)', SERVER_SIDE))
    begun = set(re.findall(r"""\bt\("([\w.]+\.)" ~""", SERVER_SIDE))
    begun |= set(re.findall(r'\bt\(f"([\w.]+\.)\{', SERVER_SIDE))
    keys |= {f"js.{key}" for key in re.findall(r'\bt\(\s*"([\w.]+)"', SCRIPTS)}
    begun |= {f"js.{key}" for key in re.findall(r"\bt\(`([\w.]+\.)\$\{", SCRIPTS)}
    return keys, begun


def test_there_are_english_and_japanese() -> None:
    assert set(LOCALES) == {"en", "ja"}


def test_both_languages_have_the_same_keys_with_the_same_places() -> None:
    english, japanese = LOCALES["en"].texts, LOCALES["ja"].texts
    assert english.keys() == japanese.keys()
    differing = [key for key in english if _places(english[key]) != _places(japanese[key])]
    assert differing == []


def test_no_text_is_empty() -> None:
    for locale in LOCALES.values():
        assert [key for key, text in locale.texts.items() if not text.strip()] == []


def test_japanese_is_not_english_left_over() -> None:
    copied = {
        key
        for key, text in LOCALES["ja"].texts.items()
        if not re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", text)
        and re.search(r"[A-Za-z]", re.sub(r"{\w+}", "", text))
    }
    assert copied == set()


def test_every_text_that_the_code_asks_for_is_there() -> None:
    keys, begun = _used()
    texts = LOCALES["en"].texts
    assert keys - texts.keys() == set()
    assert [start for start in begun if not any(key.startswith(start) for key in texts)] == []


def test_every_text_is_asked_for_by_the_code() -> None:
    keys, begun = _used()
    unused = [
        key for key in LOCALES["en"].texts if key not in keys and not key.startswith(tuple(begun))
    ]
    assert unused == []


@pytest.mark.parametrize(
    ("asked", "remembered", "accepted", "language"),
    [
        ("ja", "en", "en", "ja"),
        (None, "ja", "en", "ja"),
        (None, None, "ja-JP,ja;q=0.9,en;q=0.8", "ja"),
        (None, None, "en-GB;q=0.7,ja;q=0.9", "ja"),
        (None, None, "fr,ja;q=0", "en"),
        (None, None, "", "en"),
        ("xx", "../../etc", ";;q=,q=x,*", "en"),
    ],
)
def test_the_address_wins_over_the_cookie_and_the_cookie_over_the_browser(
    asked: str | None, remembered: str | None, accepted: str, language: str
) -> None:
    assert choose(asked, remembered, accepted).language == language
