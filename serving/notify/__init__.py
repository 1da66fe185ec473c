"""Alarms that reach people and machines: all get there, and one that comes twice says so.

message      what is said, for people in their language and for machines as JSON
routes       which channels hear of which step of an alarm
channels     Apprise's services, and two of our own: a signed webhook, and MQTT for a line's gateway
deliveries   what has to be sent to whom, in the history's database: kept until it has arrived
board        the channels, how they fare, and tests of them, for people; `api` says it over HTTP
answers      what receivers answer, in few kinds that people can be told of
told, lost   who was told of an alarm; what reached nobody, until somebody knows of it
tally        what the sending process counts; figures: how it reaches /metrics
dispatcher   sends it, again if need be; the attendant (`serving.attendant`) runs it
"""
