"""The charts' library, as the pages load it: Plotly's own file, out of its Python package.

Nothing of it is copied here, and its Python is never imported.
"""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

OWN_STYLE = re.compile(rb'getElementById\("([0-9a-f]{64})"\)')


@cache
def own_styles() -> tuple[str, ...]:
    """The ids of the style elements that the library writes into a page, unless they are there.

    They are those of its maps, which no page has, and the pages' policy forbids them; a page with
    elements of these ids is left alone.
    """
    found = find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        return ()
    folder = Path(found.submodule_search_locations[0])
    script = (folder / "package_data" / "plotly.min.js").read_bytes()
    return tuple(dict.fromkeys(one.decode() for one in OWN_STYLE.findall(script)))
