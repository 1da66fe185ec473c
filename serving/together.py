"""Windows of requests that come at the same time are judged together.

A network reads all of its weights for one window, and for sixteen it reads them once; NumPy and
ONNX Runtime are called once, too. Under load, that makes a verdict several times cheaper. Nobody
waits for company: whoever asks in one turn of the event loop is judged in the next, which comes at
once.
"""

import types
from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from kizashi.runtime.detector import Detector

FloatArray = npt.NDArray[np.float64]
Verdict = tuple[float, bool]

FEWEST = 3
"""Windows that pay: below, one after the other is quicker, by the way that a detector has for a
single one."""


class Together:
    """The windows of this turn of an event loop; for that one alone, as it has no locks."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []

    async def verdict(self, detector: Detector, window_TF: FloatArray) -> Verdict:
        """What `Detector.verdict` says of one window, but for rounding; raises what it raises."""
        mine = _Waiting(detector, window_TF)
        self._waiting.append(mine)
        try:
            await _next_turn()
        except BaseException:  # the request is over: nobody is to judge for it
            if mine in self._waiting:
                self._waiting.remove(mine)
            raise
        if mine.found is None:
            self._judge_all()
        assert mine.found is not None
        if isinstance(mine.found, Exception):
            raise mine.found
        return mine.found

    def _judge_all(self) -> None:
        """Whoever comes back first judges for everyone who asked before."""
        waiting, self._waiting = self._waiting, []
        while waiting:
            detector = waiting[0].detector  # two of them only while versions are swapped
            group = [one for one in waiting if one.detector is detector]
            waiting = [one for one in waiting if one.detector is not detector]
            _judge(detector, group)


class _Waiting:
    """One window, and the verdict on it or why there is none, once it is found."""

    __slots__ = ("detector", "found", "window_TF")

    def __init__(self, detector: Detector, window_TF: FloatArray) -> None:
        self.detector = detector
        self.window_TF = window_TF
        self.found: Verdict | Exception | None = None


@types.coroutine
def _next_turn() -> Generator[None]:
    yield  # of an asyncio task: what else is ready goes first


def _judge(detector: Detector, group: list[_Waiting]) -> None:
    if len(group) >= FEWEST:
        windows_BTF = np.array([one.window_TF for one in group])
        try:
            verdicts = detector.verdicts(windows_BTF)
        except Exception:  # of one of them, and it is not known of which
            pass
        else:
            for one, found in zip(group, verdicts, strict=True):
                one.found = found
            return
    for one in group:
        try:
            one.found = detector.verdict(one.window_TF)
        except Exception as error:  # whoever asked has to hear of it, whatever it is
            one.found = error
