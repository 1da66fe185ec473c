"""The paths that protocols of others have, and the methods of each."""

PATHS = {
    "/v2": {"get"},
    "/v2/health/live": {"get"},
    "/v2/health/ready": {"get"},
    "/v2/models/{model}": {"get"},
    "/v2/models/{model}/ready": {"get"},
    "/v2/models/{model}/infer": {"post"},
    "/v2/models/{model}/versions/{version}": {"get"},
    "/v2/models/{model}/versions/{version}/ready": {"get"},
    "/v2/models/{model}/versions/{version}/infer": {"post"},
    "/ping": {"get"},
    "/health": {"get"},
    "/version": {"get"},
    "/invocations": {"post"},
    "/anomalydetector/v1.1/multivariate/models/{model}:detect-last": {"post"},
}
