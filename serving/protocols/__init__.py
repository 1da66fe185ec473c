"""Protocols that clients already speak, each one small adapter to the one scoring core.

open_inference, binary_tensors   Open Inference Protocol V2 (KServe, Triton): /v2
mlflow_scoring                   MLflow's scoring server, and so SageMaker: /invocations, /ping
anomaly_detector                 Azure Anomaly Detector, multivariate v1.1: detect-last
endpoint                         what their POST requests have in common
values                           what was sent as numbers, to arrays that can be scored
openapi                          what is documented of them
"""

from fastapi import FastAPI

from serving.errors import Dialect
from serving.protocols import anomaly_detector, mlflow_scoring, open_inference
from serving.protocols.openapi import anomaly_detector as anomaly_detector_api
from serving.protocols.openapi import mlflow_scoring as mlflow_scoring_api
from serving.protocols.openapi import open_inference as open_inference_api
from serving.settings import Settings
from serving.verdicts.scoring import Scoring

DIALECTS: dict[str, Dialect] = {
    open_inference.PREFIX: open_inference.dialect,
    mlflow_scoring.INVOCATIONS: mlflow_scoring.dialect,
    anomaly_detector.PREFIX: anomaly_detector.dialect,
}
"""How failures are answered below these paths."""


def install(app: FastAPI, scoring: Scoring, settings: Settings) -> None:
    """Answer every protocol in `app`, and declare what is answered."""
    limit = settings.max_body_bytes
    app.router.routes[:0] = [
        *open_inference.routes(scoring, limit),
        *mlflow_scoring.routes(scoring, limit),
        *anomaly_detector.routes(scoring, limit, settings.anomaly_detector_model_id),
    ]
    for declared in (open_inference_api, mlflow_scoring_api, anomaly_detector_api):
        app.include_router(declared.router)
