"""Programs of the system that some tests need."""

import os
import shutil

import pytest


def program(*names: str) -> str:
    """The path of the first of these programs that is installed.

    The README promises that `make test` needs Python, make and git alone, so elsewhere a test
    without its program is skipped and said to be; in CI it fails.
    """
    found = next(filter(None, map(shutil.which, names)), None)
    if found is not None:
        return found
    missing = f"{names[0]} is not installed"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
