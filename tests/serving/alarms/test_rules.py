from pathlib import Path

import pytest

from kizashi.errors import ConfigurationError
from serving.alarms.rules import PRIORITY, Rules, SourceRules, read_rules, rules_of


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    rule = read_rules(None).of("press-01").rule("anomaly")
    assert (rule.begin, rule.of, rule.end) == (3, 5, 10)
    empty = tmp_path / "rules.yaml"
    empty.touch()
    assert read_rules(empty).of("press-01") == SourceRules()


def test_no_line_is_stopped_by_default() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^rules: default: 'line_stop' is true.*below 'sources'"
    ):
        rules_of({"default": {"notify": {"line_stop": True}}}, "rules")
    of_one = rules_of({"sources": {"press-07": {"notify": {"line_stop": True}}}}, "rules")
    assert of_one.of("press-07").notify.line_stop
    assert not of_one.of("press-08").notify.line_stop


def test_a_source_changes_what_it_names_of_the_default() -> None:
    rules = rules_of(
        {
            "default": {"anomaly": {"begin": 2}, "respond": "now"},
            "sources": {"press-01": {"anomaly": {"end": 30}, "consequence": "severe"}},
        },
        "rules.yaml",
    )
    own, other = rules.of("press-01"), rules.of("press-02")
    assert (own.anomaly.begin, own.anomaly.of, own.anomaly.end) == (2, 5, 30)
    assert (own.priority("anomaly"), other.priority("anomaly")) == ("critical", "high")
    assert other.anomaly.end == 10


def test_priority_rises_with_the_consequence_and_with_the_hurry() -> None:
    order = ("low", "medium", "high", "critical")
    for (consequence, respond), priority in PRIORITY.items():
        for worse in ("major", "severe") if consequence == "minor" else ("severe",):
            assert order.index(PRIORITY[worse, respond]) >= order.index(priority)
        for sooner in ("soon", "now") if respond == "later" else ("now",):
            assert order.index(PRIORITY[consequence, sooner]) >= order.index(priority)


def test_a_bad_measurement_is_one_step_less_urgent_than_a_bad_machine() -> None:
    severe = SourceRules(consequence="severe", respond="now")
    assert (severe.priority("anomaly"), severe.priority("data_quality")) == ("critical", "high")
    assert SourceRules(consequence="minor").priority("data_quality") == "low"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1]", "'default' and 'sources' are known, and nothing else"),
        ("sauces: {}", "'default' and 'sources' are known, and nothing else"),
        ("default: {anomaly: {begin: 6}}", "begin is 6 and of is 5; of must not be smaller"),
        ("default: {anomaly: {begin: 0}}", r"Expected `int` >= 1 \(anomaly.begin\)"),
        ("default: {anomally: {}}", "Object contains unknown field `anomally`"),
        ("sources: {press-01: {consequence: bad}}", "source 'press-01': Invalid enum value 'bad'"),
        ("default: {", "is not YAML"),
        ("default: !!python/object/apply:os.getcwd []", "is not YAML"),
    ],
)
def test_a_wrong_file_ends_with_one_sentence_that_says_where(
    tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=told):
        read_rules(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"KIZASHI_ALARM_RULES is '.*none.yaml'"):
        read_rules(tmp_path / "none.yaml")


def test_only_a_source_that_sends_regularly_is_expected_to_go_on() -> None:
    own = Rules().of("press-01")
    assert own.silent_after("press-01", rows=99, interval=1.0) is None
    assert own.silent_after("press-01", rows=100, interval=1.0) == 60.0
    assert own.silent_after("press-01", rows=100, interval=30.0) == 600.0
    assert own.silent_after("default", rows=10_000, interval=1.0) is None
    told = rules_of({"default": {"silence": {"seconds": 5}}}, "rules").of("default")
    assert told.silent_after("default", rows=1, interval=0.0) == 5.0
    never = rules_of({"default": {"silence": {"seconds": 0}}}, "rules").of("press-01")
    assert never.silent_after("press-01", rows=10_000, interval=1.0) is None
