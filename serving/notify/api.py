"""Notifications over HTTP: which channels there are, how they fare, and a test of them."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from serving.companion import Companion
from serving.history.asked import Id, Kept, now, who
from serving.history.views import View, microseconds
from serving.notify import board, lost
from serving.notify.answers import Means, answer_of
from serving.notify.lost import Lost
from serving.verdicts.openapi import problems

router = APIRouter(prefix="/api/notifications", tags=["notifications"])


class Notifications(View):
    """`configured`: whether KIZASHI_NOTIFY_CONFIG is set; `sending`: whether a process sends, on
    this host or another; `dry_run`: whether it only says what it would send."""

    configured: bool
    sending: bool
    dry_run: bool
    problem: Annotated[str | None, Field(description="Why no process could be started here")]
    channels: list[board.Told]
    tags: list[str]


class Test(View):
    """The channels to test."""

    tag: Annotated[str, Field(min_length=1, max_length=200)]


class TestResult(View):
    """At one channel: `unsent` is a dry run, `given_up` an attempt that failed."""

    channel: str
    state: Literal["waiting", "sent", "summed", "unsent", "given_up"]
    problem: str | None
    answer: Means


class TestTold(View):
    """A test, and what became of it; `taken` is false until the process that sends has seen it."""

    id: int
    taken: bool
    results: list[TestResult]


class LostOnes(View):
    """What people have to know of."""

    lost: list[Lost]
    untaken: Annotated[
        int,
        Field(
            description="Steps of alarms that some channel waits for while no process sends; "
            "0 while one does"
        ),
    ]


class Seen(BaseModel):
    """What somebody knows of, as /lost tells it."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, Field(max_length=200)]
    channel: Annotated[str, Field(max_length=40)]
    stop: bool
    last: Annotated[AwareDatetime, Field(description="What was given up until then")]


@router.get("", summary="The channels, and how they fare", responses=problems(500, 503))
def notifications(history: Kept, request: Request) -> Notifications:
    """Without secrets: what channels are called is made for people to read."""
    attendant: Companion | None = request.app.state.attendant
    with history.database.read() as connection:
        sending = request.app.state.sending.held(connection, now())
        found = board.board(connection)
    return Notifications(
        configured=attendant is not None,
        sending=sending,
        dry_run=found.dry_run,
        problem=None if attendant is None else attendant.problem,
        channels=found.channels,
        tags=found.tags,
    )


@router.get(
    "/lost", summary="What did not get through, and nobody knows of", responses=problems(500, 503)
)
def all_lost(history: Kept, request: Request) -> LostOnes:
    """Line stops first. What was given up stays here until somebody says that they have seen it."""
    configured = request.app.state.attendant is not None
    with history.database.read() as connection:
        found = lost.lost(connection)
        untaken = lost.steps_waiting(connection) if configured else 0
        sending = request.app.state.sending.held(connection, now())
    return LostOnes(untaken=0 if sending else untaken, lost=found)


@router.post(
    "/lost/seen",
    summary="Somebody knows that it did not get through",
    status_code=204,
    responses=problems(422, 500, 503),
)
def see_lost(history: Kept, request: Request, body: Seen) -> None:
    """It is no longer shown, and kept with the name of the key that says so; to say it twice
    changes nothing."""
    with history.database.write() as connection:
        lost.see(
            connection,
            body.source,
            body.channel,
            stop=body.stop,
            last=microseconds(body.last),
            who=who(request),
            now=now(),
        )


@router.post(
    "/test",
    summary="Send a test to the channels of a tag",
    status_code=202,
    responses=problems(404, 409, 422, 500, 503),
)
def send_test(history: Kept, request: Request, body: Test) -> TestTold:
    """By the process that sends alarms, once, ahead of what waits. It asks for no line stop,
    whatever the tag."""
    with history.database.write() as connection:
        made = board.order_test(connection, body.tag, who(request), now())
    return TestTold(id=made, taken=False, results=[])


@router.get(
    "/test/{test_id}",
    summary="What became of a test",
    responses=problems(404, 422, 500, 503),
)
def test_told(history: Kept, test_id: Id) -> TestTold:
    """Ask again as long as it is not taken, or one of its results waits."""
    with history.database.read() as connection:
        found = board.tested(connection, test_id)
    return TestTold(
        id=test_id,
        taken=found is not None,
        results=[
            TestResult.model_validate(
                {
                    "channel": one.channel,
                    "state": one.state,
                    "problem": one.problem,
                    "answer": None if one.state in ("sent", "unsent", "waiting")
                    else answer_of(one.problem),
                }
            )
            for one in found or ()
        ],
    )  # fmt: skip
