"""Alarms, in the terms of ISA-18.2: one for each source and kind.

machine     the state machine: pure, without a clock and without a database
rules       when an alarm begins and ends, and how urgent it is; read from a file
desk        what an alarm's steps write: its row, its occurrences, the audit, the outbox
ends        when what hides an alarm for a time is over, whatever clocks do
watch       what verdicts and time do to alarms; actions: what people do to them
labels      true and false alarms, kept for training; annotations
api, events over HTTP

docs/alarms.md is the guide.
"""
