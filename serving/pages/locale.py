"""The languages of the pages: one JSON file each in `serving/locales/`, and which one to use."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "locales"
DEFAULT = "en"


@dataclass(frozen=True)
class Locale:
    """The texts of one language, by key; `{name}` in a text is a place to be filled."""

    language: str
    texts: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The text of `key` with its places filled; raises KeyError for an unknown key or place."""
        return self.texts[key].format(**values)

    def under(self, prefix: str) -> dict[str, str]:
        """The texts whose keys begin with `prefix.`, for the scripts of a page."""
        return {key: text for key, text in self.texts.items() if key.startswith(f"{prefix}.")}


def _read_locales() -> dict[str, Locale]:
    return {
        path.stem: Locale(path.stem, json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(FOLDER.glob("*.json"))
    }


LOCALES = _read_locales()


def choose(asked: str | None, remembered: str | None, accepted: str) -> Locale:
    """The locale for a request: what its address asks for, else its cookie, else the browser.

    `accepted` is the Accept-Language header (RFC 9110, section 12.5.4). A language that there is
    not is passed over.
    """
    for language in (asked, remembered, *_by_preference(accepted)):
        if language in LOCALES:
            return LOCALES[language]
    return LOCALES[DEFAULT]


def _by_preference(accepted: str) -> list[str]:
    """Primary language tags of an Accept-Language header, the most wanted first."""
    weighted: list[tuple[float, str]] = []
    for item in accepted.split(","):
        tag, _, parameter = item.strip().partition(";")
        weight = parameter.strip().removeprefix("q=") or "1"
        try:
            quality = float(weight)
        except ValueError:
            continue
        if quality > 0:
            weighted.append((quality, tag.split("-")[0].strip().lower()))
    return [tag for _, tag in sorted(weighted, key=lambda pair: -pair[0])]
