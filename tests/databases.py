"""A real PostgreSQL for tests; where its programs are missing they are skipped, but not in CI."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from bench.postgres import NotInstalled, Postgres, running_postgres


@contextmanager
def postgres_or_skip() -> Iterator[Postgres]:
    """A server that runs, and is gone afterwards."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(running_postgres())
        except NotInstalled as error:
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield server
