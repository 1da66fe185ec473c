"""What the project's documents hold: code blocks, headings, links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = ROOT / "README.md"
GUIDE = ROOT / "docs" / "data-scientist.md"
TRANSLATED = sorted(
    {
        path: path.with_suffix(".ja.md") for path in ROOT.glob("*.md") if ".ja" not in path.name
    }.items()
) + [(path, path.parent / "ja" / path.name) for path in sorted(ROOT.glob("docs/*.md"))]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced code block."""

    language: str
    text: str


def blocks(document: Path, language: str | None = None) -> list[Block]:
    """The code blocks of a document, in one language or in all of them."""
    every = [Block(*found) for found in _BLOCK.findall(document.read_text(encoding="utf-8"))]
    return [block for block in every if language in (None, block.language)]


def prose(document: Path) -> str:
    """The text without its code blocks."""
    return _BLOCK.sub("", document.read_text(encoding="utf-8"))


def headings(document: Path) -> list[tuple[int, str]]:
    """Level and text of each heading."""
    found = re.findall(r"^(#+) (.+)$", prose(document), re.MULTILINE)
    return [(len(marks), text.strip()) for marks, text in found]


def anchors(document: Path) -> set[str]:
    """What a link to a heading may name, by GitHub's rule."""
    words = (re.sub(r"[^\w\- ]", "", text.lower()) for _, text in headings(document))
    return {text.replace(" ", "-") for text in words}


def links(document: Path) -> list[str]:
    """The targets of links and pictures that lead to no other host."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(document))
    return [target for target in targets if not re.match(r"https?:", target)]


def commands(document: Path) -> Iterator[str]:
    """Each line of the document's shell blocks, and each command that its prose quotes."""
    for block in blocks(document, "sh"):
        yield from block.text.splitlines()
    yield from re.findall(r"`([^`\n]+)`", prose(document))
