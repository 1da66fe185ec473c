"""Numbers as people read them."""

DIGITS = 4


def short(value: float) -> str:
    """A number with about four significant digits and no needless zeros: 0.7463, 12,400, 3e-07."""
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (DIGITS - 1):
        return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.2e}"
    return f"{value:.{DIGITS}g}"


def percent(share: float) -> str:
    """A share as a percentage with up to three significant digits: 0.1 %, 99.5 %."""
    return f"{100 * share:.3g} %"
