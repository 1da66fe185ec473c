"""What a threshold is fitted on: scores of windows that the network never saw."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kizashi.errors import DataError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CalibrationScores:
    """Scores of held-out normal windows in order of time, shape (n,).

    `in_time` says that the windows follow one another, so that one may depend on the one before it;
    False for windows drawn at random, and for rows without an order. A pause between two of them
    changes nothing: how much they tell is what they, in this order, show of their dependence, and
    after a pause that is less. So a block may reach over pauses too. `labelled_scores` and
    `labels`, both of shape (m,), are for the rules that want labels; a label is True where a fault
    shows. Raises DataError for labelled scores without their labels, and for blocks that are not
    those of the scores.
    """

    scores: FloatArray
    in_time: bool = False
    labelled_scores: FloatArray | None = None
    labels: BoolArray | None = None
    blocks: tuple[int, ...] = ()
    """Windows in each block of cross-fitting, in order; empty for scores of one held-out part."""

    def __post_init__(self) -> None:
        scored = None if self.labelled_scores is None else len(self.labelled_scores)
        labelled = None if self.labels is None else len(self.labels)
        if scored != labelled:
            raise DataError(f"there are {scored} labelled scores and {labelled} labels")
        if self.blocks and sum(self.blocks) != len(self.scores):
            raise DataError(
                f"there are {len(self.scores)} scores and {sum(self.blocks)} in {len(self.blocks)} "
                "blocks"
            )

    @cached_property
    def ordered(self) -> FloatArray:
        """The scores of normal windows in ascending order."""
        return np.sort(self.scores)

    def __len__(self) -> int:
        """The number of normal windows."""
        return len(self.scores)
