import json

from serving.notify.message import document, message, summary
from tests.serving.notify.conftest import payload


def test_people_read_what_is_wrong_where_and_since_when() -> None:
    told = message(payload(), "en", "https://kizashi.example")
    assert told.title == "[HIGH] press-01: anomaly alarm began"
    assert "Sensor: vibration" in told.body
    assert "Severity: 75%" in told.body
    assert "Score: 9.5 > 2.5" in told.body
    assert "Since: 2027-01-15" in told.body
    assert "Page: https://kizashi.example/" in told.body
    assert told.urgent


def test_in_japanese_too() -> None:
    told = message(payload(), "ja")
    assert told.title == "[高] press-01：異常アラームが発生しました"
    assert "センサー: vibration" in told.body
    assert "Page" not in told.body


def test_what_is_not_known_is_not_said() -> None:
    silent = payload(kind="silence", sensor=None, severity=None, score=None, model=None)
    told = message(silent, "en")
    assert not any(f"{name}:" in told.body for name in ("Sensor", "Severity", "Score", "Model"))


def test_a_line_stop_says_so_to_people_and_machines() -> None:
    told = message(payload(), "en", stops=True)
    assert told.title.startswith("[LINE STOP asked for] press-01")
    assert told.document["command"] == "stop"
    assert message(payload(), "en").document["command"] is None


def test_machines_get_json_with_times_in_rfc_3339() -> None:
    found = json.loads(json.dumps(document(payload(ended=None))))
    assert found["at"] == found["began"] == "2027-01-15T08:00:00.000Z"
    assert found["ended"] is None
    assert found["id"] == "step-1"
    assert found["model"] == {"name": "press", "version": "3"}


def test_a_summary_counts_and_lists_what_it_stands_for() -> None:
    many = [message(payload(number, source=f"press-0{number}"), "en") for number in (1, 2, 3)]
    told = summary(many, "one-key", "en")
    assert told.title == "3 alarm messages in a short time"
    assert [f"press-0{number}" in told.body for number in (1, 2, 3)] == [True, True, True]
    assert told.urgent and told.key == "one-key"
