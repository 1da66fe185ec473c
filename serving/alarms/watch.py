"""What verdicts and the passing of time do to alarms, within the transaction that keeps them."""

from collections.abc import Callable

import numpy as np
from sqlalchemy import ColumnElement, Connection, false, or_, select, true

from serving.alarms import machine
from serving.alarms.desk import By, Facts, Held, create, hold, save, take
from serving.alarms.ends import Ends
from serving.alarms.machine import quiet
from serving.alarms.rules import Kind, Rules, SourceRules
from serving.history.block import Block
from serving.history.record import MICROSECONDS, BoolArray
from serving.history.tables import (
    ANOMALY,
    BAD_DATA,
    LATE,
    MISSING,
    OUT_OF_RANGE,
    STUCK,
    alarms,
    sources,
)

ANNOTATED = ((OUT_OF_RANGE, "out of range"), (MISSING, "missing"), (STUCK, "stuck"))
SENDS_AGAIN = "it sends again"


class Watch:
    """The alarms of one source in one transaction, as the rows of a block come to them."""

    def __init__(
        self,
        connection: Connection,
        rules: SourceRules,
        source_id: int,
        source: str,
        held: dict[Kind, Held],
    ) -> None:
        self.connection = connection
        self.rules = rules
        self.source_id = source_id
        self.source = source
        self.held = held
        """Those that there are, whose rows this transaction holds; who holds them saves them."""

    def rows(
        self,
        block: Block,
        stuck_NF: BoolArray,
        model_id: int,
        warm_until: int,
    ) -> None:
        """Let each row that is not late count; `stuck_NF` are the values of stuck sensors."""
        counts_N = (block.flags_N & LATE) == 0
        if not counts_N.any():
            return
        self._silence(block, int(np.flatnonzero(counts_N)[-1]))

        def of_anomaly(index: int, wrong: str) -> Facts:
            blamed = block.sensor(index)
            told = wrong if blamed is None else f"{wrong}; {blamed[0]} ({blamed[1]:.0%})"
            return Facts(
                int(block.time_N[index]),
                told,
                float(block.score_N[index]),
                block.severities[index],
                None if blamed is None else blamed[0],
                model_id,
            )

        def of_quality(index: int, _wrong: str) -> Facts:
            sensor, what = _bad(block, index, stuck_NF)
            return Facts(
                int(block.time_N[index]), f"{sensor}: {what}", sensor=sensor, model_id=model_id
            )

        anomaly_N = (block.flags_N & ANOMALY) != 0
        quality_N = (block.flags_N & BAD_DATA) != 0
        self._count("anomaly", block, anomaly_N, counts_N, of_anomaly, warm_until)
        self._count("data_quality", block, quality_N, counts_N, of_quality, 0)

    def _count(
        self,
        kind: Kind,
        block: Block,
        wrong_N: BoolArray,
        counts_N: BoolArray,
        facts: Callable[[int, str], Facts],
        warm_until: int,
    ) -> None:
        held = self.held.get(kind)
        if (held is None or quiet(held.alarm)) and not (wrong_N & counts_N).any():
            return
        held = self._get(kind, int(block.arrived_N[0]))
        rule, steps_of = self.rules.rule(kind), machine.judge
        why = f"{rule.begin} of the last {rule.of} verdicts were wrong"
        worst: int | None = None
        wrong_rows = 0
        for index in _needed(held, wrong_N, counts_N):
            wrong, arrived = bool(wrong_N[index]), int(block.arrived_N[index])
            if quiet(held.alarm) and not wrong:
                continue
            warm = arrived < warm_until
            now = arrived / MICROSECONDS
            time = int(block.time_N[index]) / MICROSECONDS
            moved = steps_of(held.alarm, rule, wrong, now, may_begin=not warm, time=time)
            began = any(step.event == "began" for step in moved[1])
            if moved[1] or moved[0].repeats > held.alarm.repeats:
                if not began and worst is not None:
                    held.worsen(wrong_rows, facts(worst, ""))
                    worst, wrong_rows = None, 0
                reason = why if wrong else f"{rule.end} verdicts in a row were normal"
                by = By(arrived, reason, request_id=block.request_ids[index])
                take(self.connection, held, moved, self.rules, by, facts(index, why))
            held.alarm = moved[0]
            if wrong and held.alarm.active:
                wrong_rows += 1
                if worst is None or block.score_N[index] > block.score_N[worst]:
                    worst = index
        if worst is not None:
            held.worsen(wrong_rows, facts(worst, ""))

    def _silence(self, block: Block, index: int) -> None:
        """A row has come: its source is not silent."""
        held = self.held.get("silence")
        if held is None or quiet(held.alarm):
            return
        arrived = int(block.arrived_N[index])
        moved = machine.judge(held.alarm, self.rules.rule("silence"), False, arrived / MICROSECONDS)
        by = By(arrived, SENDS_AGAIN, request_id=block.request_ids[index])
        take(self.connection, held, moved, self.rules, by, Facts(int(block.time_N[index])))

    def _get(self, kind: Kind, at: int) -> Held:
        if kind not in self.held:
            held = create(self.connection, self.source_id, self.source, kind, at)
            self.held[kind] = held
            _suppress(self.connection, held, self.rules, at)
        return self.held[kind]


def _needed(held: Held, wrong_N: BoolArray, counts_N: BoolArray) -> list[int]:
    """The rows that may change the alarm: where it is quiet, from the first wrong one."""
    counted = np.flatnonzero(counts_N)
    if quiet(held.alarm):
        first = int(np.argmax(wrong_N & counts_N))
        counted = counted[counted >= first]
    return [int(index) for index in counted]


def _bad(block: Block, index: int, stuck_NF: BoolArray) -> tuple[str, str]:
    """The sensor whose value is bad, and in which way."""
    flags, row = int(block.flags_N[index]), block.values_NF[index]
    names = block.served.detector.contract.names
    if flags & OUT_OF_RANGE:
        beyond = block.served.detector.contract.out_of_range(row[None])[0]
        place = int(np.argmax(beyond))
        return names[place], f"out of range at {row[place]:.6g}"
    if flags & MISSING:
        return names[int(np.argmax(np.isnan(row)))], "missing"
    return names[int(np.argmax(stuck_NF[index]))], "stuck"


def sweep(connection: Connection, rules: Rules, now: int, watched_since: int, ends: Ends) -> int:
    """What time alone does to alarms: shelves empty, service windows close, chattering settles,
    sources fall silent. `watched_since` is when this service could first have heard of a source.
    `ends` knows what is over.

    Returns how many alarms moved.
    """
    return (
        _due_ones(connection, rules, now, ends)
        + _by_design(connection, rules, now)
        + _silent_ones(connection, rules, now, watched_since)
    )


def _due_ones(connection: Connection, rules: Rules, now: int, ends: Ends) -> int:
    query = (
        select(alarms.c.id, alarms.c.due, alarms.c.source_id, sources.c.name, alarms.c.kind)
        .join(sources, sources.c.id == alarms.c.source_id)
        .where(alarms.c.due.is_not(None))
    )
    waiting = connection.execute(query).all()
    over = ends.over([(row.id, row.due) for row in waiting], now)
    moved = 0
    for alarm, due, source_id, source, kind in waiting:
        if alarm not in over:
            continue
        held = hold(connection, source_id, source, [kind])[kind]
        own = rules.of(source)
        after = machine.tick(held.alarm, own.rule(kind), max(now, due) / MICROSECONDS)
        moved += bool(take(connection, held, after, own, By(now, "its time is over"), Facts(now)))
        save(connection, [held])
    return moved


def _by_design(connection: Connection, rules: Rules, now: int) -> int:
    """Alarms that the rules suppress, or no longer do."""
    query = (
        select(alarms.c.source_id, sources.c.name, alarms.c.kind, alarms.c.alarm)
        .join(sources, sources.c.id == alarms.c.source_id)
        .where(
            or_(
                alarms.c.alarm.contains('"suppressed":true'),
                sources.c.name.in_(_suppressing(rules)),
                _default_suppresses(rules),
            )
        )
    )
    moved = 0
    for source_id, source, kind, stored in connection.execute(query).all():
        if ('"suppressed":true' in stored) == (kind in rules.of(source).suppressed):
            continue
        held = hold(connection, source_id, source, [kind])[kind]
        moved += _suppress(connection, held, rules.of(source), now)
        save(connection, [held])
    return moved


def _suppressing(rules: Rules) -> list[str]:
    return [name for name, own in rules.sources.items() if own.suppressed]


def _default_suppresses(rules: Rules) -> ColumnElement[bool]:
    return true() if rules.default.suppressed else false()


def _suppress(connection: Connection, held: Held, rules: SourceRules, at: int) -> bool:
    moved = machine.suppress(held.alarm, held.kind in rules.suppressed)
    return bool(take(connection, held, moved, rules, By(at, "the rules say so"), Facts(at)))


def _silent_ones(connection: Connection, rules: Rules, now: int, watched_since: int) -> int:
    """Begin the silence of sources that have not sent for too long."""
    columns = (sources.c.id, sources.c.name, sources.c.rows, sources.c.interval, sources.c.arrived)
    moved = 0
    for source_id, source, rows, interval, arrived in connection.execute(select(*columns)).all():
        own = rules.of(source)
        after = own.silent_after(source, rows, interval)
        quiet_for = (now - max(arrived, watched_since)) / MICROSECONDS
        if after is None or quiet_for <= after:
            continue
        held = hold(connection, source_id, source, ["silence"]).get("silence")
        if held is None:
            held = create(connection, source_id, source, "silence", now)
            _suppress(connection, held, own, now)
        if held.alarm.wrong:
            continue
        why = f"nothing has come for {after:.0f} seconds"
        step = machine.judge(held.alarm, own.rule("silence"), True, now / MICROSECONDS)
        moved += bool(take(connection, held, step, own, By(now, why), Facts(arrived, why)))
        save(connection, [held])
    return moved
