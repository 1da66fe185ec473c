from typing import Any

import pytest

from serving.notify.answers import answer_of


@pytest.mark.parametrize(
    ("problem", "means"),
    [
        ("OSError: the receiver answered 503", "failing"),
        ("OSError: the receiver answered 404", "missing"),
        ("OSError: the receiver answered 418", "refused"),
        ("OSError: the receiver answered 401", "denied"),
        ("ConnectionRefusedError: [Errno 111] Connection refused", "unreachable"),
        ("gaierror: [Errno -2] Name or service not known", "unreachable"),
        ("TimeoutError: timed out", "slow"),
        ("SSLCertVerificationError: certificate verify failed", "certificate"),
        ("OSError: the broker refuses the connection: Not authorized", "denied"),
        ("OSError: the broker cannot be reached (MQTT_ERR_NO_CONN)", "unreachable"),
        ("A Connection error occurred sending Email notification to mail.", "unreachable"),
        ("Failed to send JSON POST notification: Too Many Requests, error=429.", "busy"),
        ("too old", "old"),
        ("the configuration no longer has this channel", "changed"),
        ("the service did not take it", "other"),
        (None, None),
    ],
)
def test_a_problem_is_put_into_plain_words(problem: str | None, means: Any) -> None:
    assert answer_of(problem) == means
