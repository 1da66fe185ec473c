"""The threshold over HTTP: what is in force, what another would mean, and setting one by hand."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from serving.errors import Conflict, HistoryUnavailable
from serving.following.detectors import Served
from serving.history.asked import now, who
from serving.history.service import History
from serving.history.views import moment
from serving.threshold import preview
from serving.threshold.change import Change, Event
from serving.threshold.desk import Desk
from serving.threshold.evaluated import evaluated
from serving.threshold.in_force import InForce, in_force
from serving.verdicts.openapi import problems
from serving.verdicts.scoring import Scoring

router = APIRouter(prefix="/api/threshold", tags=["threshold"])

LONGEST_COMMENT = 2000
LISTED = 50

Score = Annotated[float, Field(gt=0, le=1e100, allow_inf_nan=False)]
Value = Annotated[
    float, Query(gt=0, le=1e100, allow_inf_nan=False, description="The threshold to look at")
]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="The bundle's hash, see /model")]


class _View(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class NewThreshold(_View):
    """A threshold for the bundle that is served now, and why."""

    bundle: Hash
    value: Score
    comment: Annotated[str, Field(min_length=1, max_length=LONGEST_COMMENT, pattern=r"\S")]


class ChangeView(_View):
    """One decision. `replaced`: the version `why` took the place of the one that it was about."""

    id: int
    at: AwareDatetime
    event: Event
    name: str
    version: str
    bundle: str
    value: float | None
    calibrated: float
    who: str
    why: str


class ThresholdNow(InForce):
    """What is in force: `value`, which is `calibrated` unless a person set another. `shared`:
    whether it holds for every host that has this history, or for this host alone."""

    shared: bool
    changes: Annotated[list[ChangeView], Field(description="Newest first, of all versions")]


class CalibrationAbove(_View):
    """How many normal rows lie above. `by_tail`: none does, and the share is of the tail that is
    fitted to the largest calibration scores."""

    rows: int
    above: int
    share: Annotated[float, Field(ge=0, le=1)]
    by_tail: bool


class SourceWeekView(_View):
    """Rows of a source, and how many of them were anomalies (`then`), and would have been."""

    name: str
    rows: int
    then: int
    would: int


class WeekView(_View):
    """The last week, or what there is of it. `estimated`: there were too many to count each;
    `incomplete`: some rows are not kept, so there may have been more."""

    start: AwareDatetime
    end: AwareDatetime
    rows: int
    rows_a_day: float | None
    then: int
    would: int
    estimated: bool
    incomplete: bool
    other_versions: Annotated[
        int, Field(description="Rows that other versions judged: not counted")
    ]
    sources: Annotated[list[SourceWeekView], Field(description="Most anomalies first")]


class LabelledView(_View):
    """Of what people labelled: the rows of alarms marked as true or false, and of times whose note
    says what they were, and which of them lie above. An alarm is found when at least one of its
    rows does."""

    precision: float | None
    recall: float | None
    true_rows: int
    true_found: int
    false_rows: int
    false_found: int
    true_alarms: int
    true_alarms_found: int
    false_alarms: int
    false_alarms_found: int
    missed_rows: Annotated[int, Field(description="Faulty rows that a note told, and no alarm")]


class EvaluatedView(_View):
    """Of the labelled rows that the model was evaluated on. `exact` is false where the counts lie
    between those that the training run left."""

    precision: float | None
    recall: float | None
    faulty_rows: int
    faulty_found: int
    normal_rows: int
    normal_found: int
    exact: bool


class Preview(_View):
    """What a threshold of `value` would mean. `week` and `labelled` are null without a history, or
    where it has nothing of the kind; `evaluated` is where the version does not carry the scores."""

    bundle: str
    value: float
    calibration: CalibrationAbove
    false_alarms_a_day: Annotated[
        float | None,
        Field(description="Normal rows judged an anomaly, at the rows a day of the last week"),
    ]
    week: WeekView | None
    labelled: LabelledView | None
    evaluated: EvaluatedView | None


@router.get("", summary="The threshold in force, and who set it", responses=problems(500, 503))
def threshold(request: Request) -> ThresholdNow:
    """With every decision that was taken about it, the newest first."""
    return _now(request, _held(request))


@router.post(
    "", summary="Set the threshold by hand", responses=problems(400, 409, 415, 422, 500, 503)
)
def set_threshold(request: Request, asked: NewThreshold) -> ThresholdNow:
    """In force at once here, and within seconds in every worker and replica; recorded with who and
    why. It is this bundle's: the next version ends it."""
    served = _held(request)
    _same(served, asked.bundle)
    desk: Desk = request.app.state.threshold
    state = request.state
    desk.set(served, asked.value, who(request), asked.comment.strip(), state.request_id)
    return _now(request, _held(request))


@router.delete(
    "", summary="Judge by the calibrated threshold again", responses=problems(409, 422, 500, 503)
)
def undo_threshold(
    request: Request,
    bundle: Annotated[
        str | None, Query(pattern="^[0-9a-f]{64}$", description="Only if this one is served")
    ] = None,
    comment: Annotated[str, Query(max_length=LONGEST_COMMENT)] = "",
) -> ThresholdNow:
    """Where none was set nothing happens."""
    served = _held(request)
    if bundle is not None:
        _same(served, bundle)
    desk: Desk = request.app.state.threshold
    desk.undo(served, who(request), comment.strip(), request.state.request_id)
    return _now(request, _held(request))


@router.get(
    "/preview", summary="What another threshold would mean", responses=problems(422, 500, 503)
)
def preview_threshold(request: Request, value: Value) -> Preview:
    """From the calibration rows, from the last week's, from alarms that people marked, and from the
    labelled rows of the evaluation."""
    served = _held(request)
    above = preview.calibrated(served.detector.calibration, value)
    week, labelled = _looked_back(request, served, value)
    rows = None if week is None else week.rows_a_day
    return Preview(
        bundle=served.bundle.hash,
        value=value,
        calibration=CalibrationAbove(
            rows=above.rows, above=above.above, share=above.share, by_tail=above.by_tail
        ),
        false_alarms_a_day=None if rows is None else rows * above.share,
        week=week,
        labelled=labelled,
        evaluated=_evaluated(served, value),
    )


def _evaluated(served: Served, value: float) -> EvaluatedView | None:
    found = evaluated(served.tags, value)
    if found is None:
        return None
    names = EvaluatedView.model_fields
    return EvaluatedView(**{name: getattr(found, name) for name in names})


def _looked_back(
    request: Request, served: Served, value: float
) -> tuple[WeekView | None, LabelledView | None]:
    history: History | None = request.app.state.history
    if history is None:
        return None, None
    try:
        with history.database.read() as connection:
            week = preview.week(connection, served.bundle.hash, value, now())
            labelled = preview.labelled(connection, served.bundle.hash, value)
    except HistoryUnavailable:  # what calibration says needs no database
        return None, None
    return _week(week), _labelled(labelled)


def _week(week: preview.Week) -> WeekView | None:
    if not week.rows and not week.other_versions:
        return None
    return WeekView(
        start=moment(week.start),
        end=moment(week.end),
        rows=week.rows,
        rows_a_day=week.rows_a_day,
        then=sum(one.then for one in week.sources),
        would=sum(one.would for one in week.sources),
        estimated=week.estimated,
        incomplete=week.incomplete,
        other_versions=week.other_versions,
        sources=[
            SourceWeekView(name=one.name, rows=one.rows, then=one.then, would=one.would)
            for one in week.sources
        ],
    )


def _labelled(found: preview.Labelled) -> LabelledView | None:
    if not found.true_rows and not found.false_rows:
        return None
    return LabelledView(
        **{name: getattr(found, name) for name in LabelledView.model_fields},
    )


def _held(request: Request) -> Served:
    scoring: Scoring = request.app.state.scoring
    return scoring.held()


def _same(served: Served, bundle: str) -> None:
    if bundle != served.bundle.hash:
        raise Conflict(
            f"bundle is {bundle[:12]}; version {served.version} with bundle "
            f"{served.bundle.hash[:12]} is served, and scores of two bundles do not compare"
        )


def _now(request: Request, served: Served) -> ThresholdNow:
    desk: Desk = request.app.state.threshold
    return ThresholdNow(
        **in_force(served).model_dump(),
        shared=desk.shared,
        changes=[_view(one) for one in _changes(desk)],
    )


def _changes(desk: Desk) -> list[Change]:
    """What was decided; while the database is away, what this worker knows of it."""
    try:
        return desk.book.past(LISTED)
    except HistoryUnavailable:
        known = desk.detectors.change
        return [] if known is None else [known]


def _view(change: Change) -> ChangeView:
    return ChangeView.model_validate(
        {name: getattr(change, name) for name in Change.__struct_fields__}
    )
