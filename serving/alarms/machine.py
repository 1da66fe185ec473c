"""The state machine of one alarm: pure, without a clock and without a database.

Its states are those of ANSI/ISA-18.2 (IEC 62682), figure "Alarm state transition diagram":

    normal -> unacknowledged -> acknowledged -> normal
                    |-> returned_unacknowledged -> normal
    any    -> shelved, suppressed (by design), out_of_service

The last three hide an alarm and stop nothing: beneath them it begins and ends as ever, and what is
still wrong when they end stands there unacknowledged. Times are seconds of any one clock.
"""

from typing import Final, Literal

import msgspec

Active = Literal[
    "unacknowledged",
    "acknowledged",
    "returned_unacknowledged",
    "shelved",
    "suppressed",
    "out_of_service",
]
State = Literal["normal", Active]
HIDDEN: Final = frozenset({"shelved", "suppressed", "out_of_service"})
NEEDS_ACKNOWLEDGEMENT: Final = frozenset({"unacknowledged", "returned_unacknowledged"})

Event = Literal[
    "began",
    "ended",
    "chattering",
    "acknowledged",
    "shelved",
    "unshelved",
    "shelf_expired",
    "suppressed",
    "unsuppressed",
    "out_of_service",
    "in_service",
    "service_window_over",
]

MOST_VERDICTS = 60
"""What `of` may be at most: the last verdicts are bits of one number."""


class Forbidden(Exception):
    """An action that this state does not allow; says which and why."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """When an alarm begins and ends; `docs/alarms.md` says why these are the defaults."""

    begin: int = 3
    of: int = 5
    end: int = 10
    chatter_begins: int = 3
    chatter_seconds: float = 600.0


class Alarm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is known of one alarm, so that whoever holds its row can go on."""

    bits: int = 0
    """The last verdicts, the newest lowest; 1 is wrong."""
    normals: int = 0
    """Normal verdicts since the last wrong one."""
    wrongs: tuple[float, ...] = ()
    """The rows' own times of the wrong verdicts in `bits`, the oldest first, until it begins."""
    wrong: bool = False
    """What the rule says; `active` is what people see, held up while it chatters."""
    active: bool = False
    unacknowledged: bool = False
    begins: tuple[float, ...] = ()
    """When it last began."""
    ended: float = 0.0
    """When `wrong` last became False."""
    chattering: bool = False
    repeats: int = 0
    """How often it began again since it chatters."""
    shelved_until: float | None = None
    suppressed: bool = False
    out_until: float | None = None

    @property
    def state(self) -> State:
        """What people see."""
        if self.out_until is not None:
            return "out_of_service"
        if self.suppressed:
            return "suppressed"
        if self.shelved_until is not None:
            return "shelved"
        if self.active:
            return "unacknowledged" if self.unacknowledged else "acknowledged"
        return "returned_unacknowledged" if self.unacknowledged else "normal"

    @property
    def due(self) -> float | None:
        """When time alone changes it next; chattering is looked at by rule, see `tick`."""
        times = [time for time in (self.shelved_until, self.out_until) if time is not None]
        return min(times, default=None)


class Step(msgspec.Struct, frozen=True):
    """What happened to an alarm, and its states before and after."""

    event: Event
    before: State
    after: State


Moved = tuple[Alarm, list[Step]]
_with = msgspec.structs.replace


def quiet(alarm: Alarm) -> bool:
    """Whether normal verdicts leave everything about it as it is."""
    return not (alarm.bits or alarm.wrong or alarm.active)


def judge(
    alarm: Alarm,
    rule: Rule,
    wrong: bool,
    now: float,
    *,
    may_begin: bool = True,
    time: float | None = None,
) -> Moved:
    """One more verdict, of a row with a `time` of its own, or of now. It begins after `begin` wrong
    ones of the last `of`, and ends after `end` normal ones in a row; without `may_begin` (a machine
    that warms up) verdicts only count."""
    bits = (alarm.bits << 1 | wrong) & ((1 << rule.of) - 1)
    normals = 0 if wrong else min(alarm.normals + 1, rule.end)
    wrongs = _in_window(alarm, wrong, now if time is None else time, bits.bit_count())
    alarm = _with(alarm, bits=bits, normals=normals, wrongs=wrongs)
    steps: list[Step] = []
    if not alarm.wrong and wrong and may_begin and bits.bit_count() >= rule.begin:
        alarm, steps = _begin(alarm, rule, now)
    elif alarm.wrong and normals >= rule.end:
        # The verdicts before it ended must not help it to begin again.
        alarm = _with(alarm, wrong=False, bits=0, ended=now)
        if not alarm.chattering:
            alarm, steps = _end(alarm)
    if alarm.chattering:
        alarm, more = settle(alarm, rule, now)
        steps += more
    return alarm, steps


def _in_window(alarm: Alarm, wrong: bool, time: float, count: int) -> tuple[float, ...]:
    """The times of the wrong verdicts among the last ones, for which an alarm that began already
    has no more use."""
    if alarm.wrong or not count:
        return ()
    return (alarm.wrongs + ((time,) if wrong else ()))[-count:]


def settle(alarm: Alarm, rule: Rule, now: float) -> Moved:
    """End an alarm that chattered and has been right for as long as chattering is counted over."""
    # Either way: what is in the future was before this machine's clock was put back.
    if alarm.chattering and not alarm.wrong and abs(now - alarm.ended) >= rule.chatter_seconds:
        return _end(alarm)
    return alarm, []


def _begin(alarm: Alarm, rule: Rule, now: float) -> Moved:
    recent = [time for time in alarm.begins if abs(now - time) < rule.chatter_seconds]
    begins = (*recent, now)[-rule.chatter_begins :]
    alarm = _with(alarm, wrong=True, begins=begins)
    if alarm.active:  # it chatters, and never ended for people
        return _with(alarm, repeats=alarm.repeats + 1), []
    before = alarm.state
    alarm = _with(alarm, active=True, unacknowledged=True)
    steps = [Step("began", before, alarm.state)]
    if len(begins) >= rule.chatter_begins:
        alarm = _with(alarm, chattering=True, repeats=0)
        steps.append(Step("chattering", alarm.state, alarm.state))
    return alarm, steps


def _end(alarm: Alarm) -> Moved:
    before = alarm.state
    # What nobody could see needs no acknowledgement once it is over.
    waits = alarm.unacknowledged and before not in HIDDEN
    alarm = _with(alarm, active=False, unacknowledged=waits, chattering=False, repeats=0)
    return alarm, [Step("ended", before, alarm.state)]


def acknowledge(alarm: Alarm) -> Moved:
    """Somebody knows of it; raises Forbidden where there is nothing to acknowledge."""
    before = alarm.state
    if before not in NEEDS_ACKNOWLEDGEMENT:
        raise Forbidden(f"the alarm is {before}; only one that nobody has acknowledged can be")
    alarm = _with(alarm, unacknowledged=False)
    return alarm, [Step("acknowledged", before, alarm.state)]


def shelve(alarm: Alarm, until: float, now: float) -> Moved:
    """Hide it until a time, which it always has; again for another time."""
    before = alarm.state
    if before == "out_of_service":
        raise Forbidden("the alarm is out of service, which hides it already")
    if until <= now:
        raise Forbidden("the time until which the alarm is shelved has passed")
    alarm = _with(alarm, shelved_until=until)
    return alarm, [Step("shelved", before, alarm.state)]


def unshelve(alarm: Alarm) -> Moved:
    """Show it again before its time."""
    if alarm.shelved_until is None:
        raise Forbidden(f"the alarm is {alarm.state}, not shelved")
    return _show(alarm, _with(alarm, shelved_until=None), "unshelved")


def take_out(alarm: Alarm, until: float, now: float) -> Moved:
    """Out of service, for maintenance, until a time."""
    before = alarm.state
    if until <= now:
        raise Forbidden("the time until which the alarm is out of service has passed")
    alarm = _with(alarm, out_until=until)
    return alarm, [Step("out_of_service", before, alarm.state)]


def put_back(alarm: Alarm) -> Moved:
    """Back in service before its time."""
    if alarm.out_until is None:
        raise Forbidden(f"the alarm is {alarm.state}, not out of service")
    return _show(alarm, _with(alarm, out_until=None), "in_service")


def suppress(alarm: Alarm, suppressed: bool) -> Moved:
    """Suppressed by design, or no longer."""
    if alarm.suppressed == suppressed:
        return alarm, []
    if suppressed:
        before = alarm.state
        alarm = _with(alarm, suppressed=True)
        return alarm, [Step("suppressed", before, alarm.state)]
    return _show(alarm, _with(alarm, suppressed=False), "unsuppressed")


def tick(alarm: Alarm, rule: Rule, now: float) -> Moved:
    """What time alone does: shelving and service windows run out, chattering settles."""
    steps: list[Step] = []
    if alarm.out_until is not None and alarm.out_until <= now:
        alarm, more = _show(alarm, _with(alarm, out_until=None), "service_window_over")
        steps += more
    if alarm.shelved_until is not None and alarm.shelved_until <= now:
        alarm, more = _show(alarm, _with(alarm, shelved_until=None), "shelf_expired")
        steps += more
    alarm, more = settle(alarm, rule, now)
    return alarm, steps + more


def _show(before: Alarm, after: Alarm, event: Event) -> Moved:
    """What comes to light is unacknowledged if it is still wrong, and over if it is not."""
    if after.state not in HIDDEN:
        after = _with(after, unacknowledged=after.active)
    return after, [Step(event, before.state, after.state)]
