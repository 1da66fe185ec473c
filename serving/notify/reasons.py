"""What the service gives as a reason, in the reader's language.

Reasons are kept in English with the alarms; these are their forms, and the texts are those that
the pages show (`serving/static/alarm.js` has the same forms).
"""

import re

from serving.pages.locale import Locale

FORMS = {
    "verdicts": re.compile(
        r"(?P<begin>\d+) of the last (?P<of>\d+) verdicts were wrong"
        r"(?:; (?P<sensor>.+) \((?P<share>\d+)%\))?",
        re.DOTALL,
    ),
    "normal": re.compile(r"(?P<count>\d+) verdicts in a row were normal"),
    "silence": re.compile(r"nothing has come for (?P<seconds>\d+) seconds"),
    "sends_again": re.compile(r"it sends again"),
    "time": re.compile(r"its time is over"),
    "rules": re.compile(r"the rules say so"),
    "out_of_range": re.compile(r"(?P<sensor>.+): out of range at (?P<value>\S+)", re.DOTALL),
    "missing": re.compile(r"(?P<sensor>.+): missing", re.DOTALL),
    "stuck": re.compile(r"(?P<sensor>.+): stuck", re.DOTALL),
}


def in_words(reason: str, t: Locale) -> str:
    """The reason as people read it; what is in none of the forms, such as what a person wrote,
    stays as it is."""
    for name, form in FORMS.items():
        if found := form.fullmatch(reason):
            return _said(name, found.groupdict(), t)
    return reason


def _said(name: str, told: dict[str, str | None], t: Locale) -> str:
    if name == "silence":
        told["span"] = t("notify.seconds", count=told["seconds"])
    text = t(f"js.reason.{name}", **told)
    if name == "verdicts" and told["sensor"] is not None:
        of_sensor = t("js.reason.sensor", sensor=told["sensor"], share=f"{told['share']} %")
        return f"{text} {of_sensor}"
    return text
