"""What a whole run says at its end, whether in one process or in several."""

from typing import Any

import pytest
from hypothesis import settings

from tests.serving.faults.tried import TRIED, told

# As Hypothesis itself has it where it knows that it runs in CI: the same examples in every run, and
# however long a busy machine takes for one.
settings.load_profile("ci")
TRIED_THERE = "bad inputs tried"


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[TRIED_THERE] = dict(TRIED)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    TRIED.update(getattr(node, "workeroutput", {}).get(TRIED_THERE, {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in told():
        terminalreporter.write_line(line)
