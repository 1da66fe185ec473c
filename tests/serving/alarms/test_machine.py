"""The state machine under any sequence of verdicts, actions and times."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.alarms import machine
from serving.alarms.machine import HIDDEN, Alarm, Forbidden, Moved, Rule, State, Step

RULE = Rule(begin=3, of=5, end=4, chatter_begins=3, chatter_seconds=100.0)

ALLOWED: set[tuple[State, State]] = {
    ("normal", "unacknowledged"),
    ("unacknowledged", "acknowledged"),
    ("unacknowledged", "returned_unacknowledged"),
    ("acknowledged", "normal"),
    ("returned_unacknowledged", "normal"),
    ("returned_unacknowledged", "unacknowledged"),
}
"""Between what people see, by ANSI/ISA-18.2. Into what hides an alarm leads a way from everywhere;
out of it one to what the alarm is then: unacknowledged if it is wrong, normal if it is not."""


@dataclass(frozen=True)
class Act:
    name: str
    wrong: bool = False
    seconds: float = 0.0
    may_begin: bool = True


acts = st.one_of(
    st.builds(
        Act, st.just("judge"), wrong=st.booleans(), may_begin=st.sampled_from([True] * 4 + [False])
    ),
    st.builds(
        Act, st.sampled_from(["acknowledge", "unshelve", "put_back", "suppress", "unsuppress"])
    ),
    st.builds(Act, st.sampled_from(["shelve", "take_out"]), seconds=st.floats(0.5, 50)),
    st.builds(Act, st.just("wait"), seconds=st.floats(0, 200)),
)
runs = st.lists(acts, max_size=120)


def do(alarm: Alarm, act: Act, now: float) -> Moved:
    moves = {
        "judge": lambda: machine.judge(alarm, RULE, act.wrong, now, may_begin=act.may_begin),
        "acknowledge": lambda: machine.acknowledge(alarm),
        "shelve": lambda: machine.shelve(alarm, now + act.seconds, now),
        "unshelve": lambda: machine.unshelve(alarm),
        "take_out": lambda: machine.take_out(alarm, now + act.seconds, now),
        "put_back": lambda: machine.put_back(alarm),
        "suppress": lambda: machine.suppress(alarm, True),
        "unsuppress": lambda: machine.suppress(alarm, False),
        "wait": lambda: machine.tick(alarm, RULE, now),
    }
    return moves[act.name]()


def run(run_of: list[Act]) -> list[tuple[Act, Alarm, Alarm, list[Step], float]]:
    """Each act that was not forbidden, the alarm before and after, the steps, and when."""
    alarm, now, told = Alarm(), 1000.0, []
    for act in run_of:
        now += 1.0 + (act.seconds if act.name == "wait" else 0.0)
        try:
            after, steps = do(alarm, act, now)
        except Forbidden:
            continue
        told.append((act, alarm, after, steps, now))
        alarm = after
    return told


@given(runs)
@settings(max_examples=300, deadline=None)
def test_no_run_makes_a_step_that_the_standard_does_not_know(run_of: list[Act]) -> None:
    for _, before, after, steps, _ in run(run_of):
        states: list[State] = [before.state]
        for step in steps:
            assert step.before == states[-1]
            states.append(step.after)
            if step.before != step.after and not {step.before, step.after} & HIDDEN:
                assert (step.before, step.after) in ALLOWED
            if step.before in HIDDEN and step.after not in HIDDEN:
                assert step.after in ("unacknowledged", "normal")
        assert states[-1] == after.state


@given(runs)
@settings(max_examples=300, deadline=None)
def test_no_state_changes_without_a_step_that_says_so(run_of: list[Act]) -> None:
    for _, before, after, steps, _ in run(run_of):
        if not steps:
            assert before.state == after.state
            assert before.active == after.active


@given(runs)
@settings(max_examples=300, deadline=None)
def test_whatever_hides_an_alarm_for_a_time_ends_with_it(run_of: list[Act]) -> None:
    told = run(run_of)
    if not told:
        return
    _, _, alarm, _, now = told[-1]
    assert alarm.due is None or alarm.due <= now + 50
    later, _ = machine.tick(alarm, RULE, now + 51)
    assert later.shelved_until is None
    assert later.out_until is None
    assert (later.state in HIDDEN) == later.suppressed


@given(runs)
@settings(max_examples=300, deadline=None)
def test_what_is_wrong_is_never_lost(run_of: list[Act]) -> None:
    """Whoever uncovers an alarm that is still wrong finds it standing there, unacknowledged."""
    told = run(run_of)
    alarm = told[-1][2] if told else Alarm()
    now = told[-1][4] if told else 0.0
    hidden = alarm.state in HIDDEN
    shown, _ = machine.tick(alarm, RULE, now + 51)
    shown, _ = machine.suppress(shown, False)
    if alarm.wrong:
        assert shown.active
        assert shown.state == ("unacknowledged" if hidden else alarm.state)


@given(runs)
@settings(max_examples=300, deadline=None)
def test_every_beginning_has_its_end_before_the_next(run_of: list[Act]) -> None:
    begun = False
    for _, _, _, steps, _ in run(run_of):
        for step in steps:
            if step.event == "began":
                assert not begun
                begun = True
            if step.event == "ended":
                assert begun
                begun = False


@given(st.lists(st.booleans(), max_size=200))
def test_it_is_wrong_exactly_as_the_rule_says(verdicts: list[bool]) -> None:
    alarm, wrong, recent, normals = Alarm(), False, [False] * RULE.of, 0
    for verdict in verdicts:
        alarm, _ = machine.judge(alarm, RULE, verdict, 0.0)
        recent = [*recent, verdict][-RULE.of :]
        normals = 0 if verdict else normals + 1
        if not wrong and verdict and sum(recent) >= RULE.begin:
            wrong = True
        elif wrong and normals >= RULE.end:
            wrong, recent = False, [False] * RULE.of
        assert alarm.wrong == wrong


def sequence(alarm: Alarm, verdicts: str, now: float = 0.0) -> tuple[Alarm, list[str]]:
    """`x` is wrong, `.` is normal; one a second."""
    events: list[str] = []
    for index, verdict in enumerate(verdicts):
        alarm, steps = machine.judge(alarm, RULE, verdict == "x", now + index)
        events += [step.event for step in steps]
    return alarm, events


def test_single_wrong_verdicts_begin_nothing() -> None:
    assert sequence(Alarm(), "x....x....x...x....")[1] == []


def test_it_begins_with_the_third_of_five_and_ends_after_four_normal_ones() -> None:
    alarm, events = sequence(Alarm(), "x.x.x")
    assert (events, alarm.state) == (["began"], "unacknowledged")
    alarm, events = sequence(alarm, "...x....")
    assert (events, alarm.state) == (["ended"], "returned_unacknowledged")
    alarm, steps = machine.acknowledge(alarm)
    assert (steps[0].event, alarm.state) == ("acknowledged", "normal")


def test_an_acknowledged_alarm_that_ends_is_normal() -> None:
    alarm, _ = sequence(Alarm(), "xxx")
    alarm, _ = machine.acknowledge(alarm)
    alarm, _ = sequence(alarm, "....")
    assert alarm.state == "normal"


def test_chattering_is_one_alarm_until_it_has_been_right_for_long() -> None:
    alarm, events = sequence(Alarm(), "xxx...." * 5)
    assert events == ["began", "ended", "began", "ended", "began", "chattering"]
    assert (alarm.repeats, alarm.state) == (2, "unacknowledged")
    alarm, events = sequence(alarm, "." * 90, now=40.0)
    assert (events, alarm.chattering) == ([], True)
    alarm, events = sequence(alarm, "." * 10, now=134.0)
    assert (events, alarm.chattering, alarm.state) == (["ended"], False, "returned_unacknowledged")


def test_a_machine_that_warms_up_begins_nothing_and_begins_at_once_afterwards() -> None:
    alarm = Alarm()
    for _ in range(5):
        alarm, steps = machine.judge(alarm, RULE, True, 0.0, may_begin=False)
        assert steps == []
    assert machine.judge(alarm, RULE, True, 1.0)[0].state == "unacknowledged"


def test_an_alarm_begins_beneath_its_shelf_and_stands_there_when_the_shelf_ends() -> None:
    alarm, _ = machine.shelve(Alarm(), 60.0, 0.0)
    alarm, events = sequence(alarm, "xxx")
    assert (events, alarm.state) == (["began"], "shelved")
    alarm, steps = machine.tick(alarm, RULE, 60.0)
    assert (steps[0].event, alarm.state) == ("shelf_expired", "unacknowledged")


@pytest.mark.parametrize(
    "move",
    [
        machine.acknowledge,
        machine.unshelve,
        machine.put_back,
        lambda alarm: machine.shelve(alarm, 5.0, 5.0),
        lambda alarm: machine.take_out(alarm, 4.0, 5.0),
    ],
    ids=["acknowledge", "unshelve", "put back", "shelve until now", "take out until then"],
)
def test_what_a_normal_alarm_does_not_allow_is_forbidden(move: object) -> None:
    with pytest.raises(Forbidden):
        move(Alarm())  # type: ignore[operator]
