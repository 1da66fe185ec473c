"""How many bad inputs were tried, by how they were made."""

from collections import Counter

TRIED: Counter[str] = Counter()


def told() -> list[str]:
    """What the tests' output says of them."""
    parts = ", ".join(f"{count} {how}" for how, count in sorted(TRIED.items()))
    return [f"bad inputs tried: {sum(TRIED.values())} ({parts})"] if TRIED else []
