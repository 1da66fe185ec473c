"""Notifications over HTTP: which channels there are, how they fare, and a test of them."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, Field

from serving.companion import Companion
from serving.history.asked import Id, Kept, now, who
from serving.history.views import View, maybe
from serving.notify import board
from serving.notify.board import Answer
from serving.verdicts.openapi import problems

router = APIRouter(prefix="/api/notifications", tags=["notifications"])

Means = Annotated[
    Answer | None, Field(description="What the receiver's answer means; null where it took it")
]


class ChannelView(View):
    """One receiver. `sent` is when it last took a message; `failed`, `problem` and `answer` tell of
    the last attempt that did not get through."""

    id: str
    name: str
    tags: list[str]
    machine: bool
    waiting: Annotated[int, Field(description="Messages that have not arrived yet")]
    sent: AwareDatetime | None
    failed: AwareDatetime | None
    problem: str | None
    answer: Means


class Notifications(View):
    """`configured`: whether KIZASHI_NOTIFY_CONFIG is set; `sending`: whether a process sends, on
    this host or another; `dry_run`: whether it only says what it would send."""

    configured: bool
    sending: bool
    dry_run: bool
    problem: Annotated[str | None, Field(description="Why no process could be started here")]
    channels: list[ChannelView]
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


@router.get("", summary="The channels, and how they fare", responses=problems(500, 503))
def notifications(history: Kept, request: Request) -> Notifications:
    """Without secrets: what channels are called is made for people to read."""
    attendant: Companion | None = request.app.state.attendant
    with history.database.read() as connection:
        found = board.board(connection, now())
    return Notifications(
        configured=attendant is not None,
        sending=found.sending,
        dry_run=found.dry_run,
        problem=None if attendant is None else attendant.problem,
        channels=[
            ChannelView(
                id=one.id,
                name=one.name,
                tags=list(one.tags),
                machine=one.machine,
                waiting=one.waiting,
                sent=maybe(one.sent),
                failed=maybe(one.failed),
                problem=one.problem,
                answer=board.answer_of(one.problem),
            )
            for one in found.channels
        ],
        tags=list(found.tags),
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
                    else board.answer_of(one.problem),
                }
            )
            for one in found or ()
        ],
    )  # fmt: skip
