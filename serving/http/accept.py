"""Which format an answer has: content negotiation by `Accept` (RFC 9110, section 12.5.1)."""

from serving.errors import NotAcceptable
from serving.formats import EXTRA, FORMATS, Format


def accepted(accept: bytes) -> Format:
    """The format that `Accept` prefers, JSON when it does not care.

    Raises NotAcceptable when it wants none that can be written here.
    """
    weights = dict(_weight(one) for one in accept.lower().split(b",") if one.strip())
    written = [one for one in FORMATS.values() if one.installed]
    if not weights:
        return written[0]

    def weight(one: Format) -> float:
        group = one.media_type.split(b"/")[0] + b"/*"
        found = (weights[kind] for kind in (one.media_type, group, b"*/*") if kind in weights)
        return next(found, 0.0)

    best = max(written, key=weight)
    if weight(best) <= 0:
        raise NotAcceptable(_refusal(accept, written))
    return best


def _refusal(accept: bytes, written: list[Format]) -> str:
    names = " or ".join(one.media_type.decode() for one in written)
    needed = f"; Arrow and Parquet need {EXTRA}" if len(written) < len(FORMATS) else ""
    return f"Accept is {accept[:60].decode('latin-1')!r}; {names} can be written{needed}"


def _weight(one: bytes) -> tuple[bytes, float]:
    kind, *parameters = (part.strip() for part in one.split(b";"))
    for parameter in parameters:
        if parameter.startswith(b"q="):
            try:
                return kind, float(parameter[2:])
            except ValueError:
                return kind, 0.0
    return kind, 1.0
