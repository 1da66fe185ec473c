"""The protocols' own clients, over a real socket.

V2 is asked by Triton's client. KServe's own would bring the client of Kubernetes along, and
MLServer's the whole of gRPC; what both write is the JSON of the same protocol, which Triton's
client writes as well.
"""

from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import tritonclient.http as triton
from azure.ai.anomalydetector import AnomalyDetectorClient
from azure.ai.anomalydetector.models import MultivariateLastDetectionOptions, VariableValues
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from starlette.testclient import TestClient
from tritonclient.utils import InferenceServerException

from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW

ROWS = np.array([NORMAL_ROW, ANOMALOUS_ROW])


def own_scores(client: TestClient) -> list[float]:
    scores: list[float] = client.post("/anomaly/batch", json={"instances": ROWS.tolist()}).json()[
        "scores"
    ]
    return scores


def values(rows: npt.NDArray[np.generic], datatype: str, binary: bool = True) -> triton.InferInput:
    tensor = triton.InferInput("values", list(rows.shape), datatype)
    tensor.set_data_from_numpy(rows, binary_data=binary)
    return tensor


@pytest.fixture
def server(address: str) -> triton.InferenceServerClient:
    return triton.InferenceServerClient(address.removeprefix("http://"))


def test_triton_s_client_finds_the_model(server: triton.InferenceServerClient) -> None:
    assert server.is_server_live()
    assert server.is_server_ready()
    assert server.is_model_ready("press-line")
    assert not server.is_model_ready("other")
    assert server.get_server_metadata()["name"] == "kizashi"
    metadata = server.get_model_metadata("press-line")
    assert metadata["inputs"] == [{"name": "values", "datatype": "FP32", "shape": [-1, 3]}]
    version = metadata["versions"][0]
    assert server.is_model_ready("press-line", version)
    assert server.get_model_metadata("press-line", version) == metadata
    with pytest.raises(InferenceServerException, match="model 'other' is not served here"):
        server.get_model_metadata("other")


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_triton_s_client_scores(
    server: triton.InferenceServerClient, client: TestClient, binary: bool, asked: bool
) -> None:
    names = ["score", "status", "p_value", "contributions"]
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
    answer = server.infer(
        "press-line",
        [values(ROWS, "FP64", binary)],
        outputs=outputs if asked else None,
        request_id="42",
    )
    assert answer.get_response()["id"] == "42"
    assert answer.as_numpy("score").tolist() == pytest.approx(own_scores(client), rel=1e-9)
    status = [one.decode() if binary or not asked else one for one in answer.as_numpy("status")]
    assert status == ["normal", "anomaly"]
    assert answer.as_numpy("p_value").shape == (2,)
    assert answer.as_numpy("contributions").shape == (2, 3)


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_triton_s_client_sends_every_precision(
    server: triton.InferenceServerClient, datatype: str
) -> None:
    rows = ROWS.astype(f"f{int(datatype[2:]) // 8}")
    answer = server.infer("press-line", [values(rows, datatype)])
    assert answer.as_numpy("status").tolist() == [b"normal", b"anomaly"]


def test_triton_s_client_is_told_what_is_wrong(server: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match=r"is \[2, 2\]; \[B, 3\] is needed"):
        server.infer("press-line", [values(ROWS[:, :2].copy(), "FP64")])


def test_mlflow_s_client_is_answered(address: str, client: TestClient) -> None:
    server: Any = ScoringServerClient(  # type: ignore[no-untyped-call]
        *address.removeprefix("http://").split(":")
    )
    server.ping()
    assert server.get_version() == mlflow.__version__
    frame = pd.DataFrame(ROWS, columns=["vibration", "current", "sound"])
    for table in (frame, ROWS):
        predictions = server.invoke(table).get_predictions()
        assert predictions["score"].tolist() == own_scores(client)
        assert predictions["status"].tolist() == ["normal", "anomaly"]


@pytest.fixture
def azure(address: str) -> AnomalyDetectorClient:
    return AnomalyDetectorClient(address, AzureKeyCredential("a-key"))


def options(row: list[float], contributors: int = 2) -> MultivariateLastDetectionOptions:
    return MultivariateLastDetectionOptions(
        variables=[
            VariableValues(variable=name, timestamps=["2026-01-01T00:00:00Z"], values=[value])
            for name, value in zip(("vibration", "current", "sound"), row, strict=True)
        ],
        top_contributor_count=contributors,
    )


def test_azure_s_client_detects(azure: AnomalyDetectorClient, client: TestClient) -> None:
    answer: Any = azure.detect_multivariate_last_anomaly("press-line", options(ANOMALOUS_ROW))
    result = answer.results[0]
    assert result.timestamp.isoformat() == "2026-01-01T00:00:00+00:00"
    assert result.value.is_anomaly is True
    assert 0 < result.value.severity <= 1
    own = client.post("/anomaly", json={"values": ANOMALOUS_ROW}).json()["score"]
    assert result.value.score == pytest.approx(own, rel=1e-9)
    names = [one.variable for one in result.value.interpretation]
    assert names == ["vibration", "sound"]
    assert result.value.interpretation[0].correlation_changes.changed_variables == []
    state = answer.variable_states[0]
    assert (state.variable, state.effective_count, state.filled_n_a_ratio) == ("vibration", 1, 0)
    normal: Any = azure.detect_multivariate_last_anomaly("press-line", options(NORMAL_ROW))
    assert normal.results[0].value.is_anomaly is False


def test_azure_s_client_is_told_what_is_wrong(azure: AnomalyDetectorClient) -> None:
    with pytest.raises(ResourceNotFoundError):
        azure.detect_multivariate_last_anomaly("other", options(NORMAL_ROW))
    with pytest.raises(HttpResponseError, match="topContributorCount is 0") as caught:
        azure.detect_multivariate_last_anomaly("press-line", options(NORMAL_ROW, 0))
    model: Any = caught.value.model
    assert model.code == "BadArgument"
