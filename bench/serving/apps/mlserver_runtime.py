"""The detector as a custom runtime of MLServer."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Anomaly(MLModel):  # type: ignore[misc]  # not in the project's environment
    """Rows in the tensor `values`, scores and statuses out."""

    async def load(self) -> bool:
        """Load the detector."""
        from bench.serving.apps.verdicts import verdict

        self.verdict = verdict
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Judge the one row of the request."""
        rows_NF = NumpyCodec.decode_input(payload.inputs[0])
        found = self.verdict(rows_NF[0])
        return InferenceResponse(
            model_name=self.name,
            id=payload.id,
            outputs=[
                ResponseOutput(name="score", shape=[1], datatype="FP64", data=[found["score"]]),
                ResponseOutput(name="status", shape=[1], datatype="BYTES", data=[found["status"]]),
            ],
        )
