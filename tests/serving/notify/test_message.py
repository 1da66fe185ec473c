import json

import pytest

from serving.notify.message import document, message, summary
from tests.serving.notify.conftest import payload


def test_people_read_what_is_wrong_where_and_since_when() -> None:
    told = message(payload(), "en", "https://kizashi.example")
    assert told.title == "[HIGH] press-01: anomaly alarm began"
    assert "Sensor: vibration" in told.body
    assert "Severity: 75%" in told.body
    assert "Score: 9.5 > 2.5" in told.body
    assert "Since: 2027-01-15" in told.body
    assert "Page: https://kizashi.example/sources/press-01" in told.body
    assert told.urgent


def test_in_japanese_too() -> None:
    told = message(payload(), "ja")
    assert told.title == "[高] press-01：異常アラームが発生しました"
    assert "センサー: vibration" in told.body
    assert "Page" not in told.body


REASONS = [
    ("3 of the last 5 verdicts were wrong; vibration (68%)", "主な要因：vibration（68 %）"),
    ("3 of the last 5 verdicts were wrong", "連続する 5 行のうち 3 行が異常でした。"),
    ("10 verdicts in a row were normal", "10 行続けて正常でした。"),
    ("nothing has come for 30 seconds", "30 秒のあいだ何も届いていません。"),
    ("it sends again", "受信が再開しました。"),
    ("its time is over", "設定した時間が過ぎました。"),
    ("the rules say so", "規則の設定によります。"),
    ("oil: out of range at 99", "oil が計測範囲の外です：99。"),
    ("oil: missing", "oil の値がありません。"),
    ("oil: stuck", "oil の値が変化しません。"),
]


@pytest.mark.parametrize(("reason", "said"), REASONS)
def test_reasons_of_the_service_are_in_the_readers_language(reason: str, said: str) -> None:
    told = message(payload(reason=reason, who="kizashi", why=reason), "ja")
    assert said in told.body
    assert reason not in told.body and "コメント" not in told.body


def test_what_a_person_said_stays_as_it_was_said() -> None:
    told = message(payload(who="mika", why="it sends again"), "ja")
    assert "コメント: it sends again" in told.body


@pytest.mark.parametrize(
    ("source", "path"),
    [("line 1/press", "sources/line%201%2Fpress"), ("..", "sources/?name=..")],
)
def test_the_page_is_that_of_the_source(source: str, path: str) -> None:
    told = message(payload(source=source), "en", "https://kizashi.example/plant/")
    assert f"Page: https://kizashi.example/plant/{path}\n" in told.body


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
