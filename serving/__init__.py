"""The service: rows of sensor values in, verdicts out.

main, app        the ASGI application; create_app(settings)
later            what no verdict needs comes once the service is ready; routers: what that is
settings         every setting
cache            bundles and pointers on disk: what is served, and what its follower knows
detectors        what a worker holds: the detector that the pointer names
follower         the process that follows the model and moves the pointer; sources: from where
requests, rows   what comes in
fast_road        answers a row that is in order before all layers; together: rows of one moment;
                 connections: what asks them
score, batch     POST /anomaly and POST /anomaly/batch; openapi: what is documented of them
one_window       leads POST /anomaly past FastAPI's router
protocols        what clients of KServe, Triton, MLflow, SageMaker and Azure already speak
sagemaker        how SageMaker starts a container
access           who may ask what; keys: who has which; limits: how often
security         what browsers are told of pages
observed         each request measured; metrics: what Prometheus is told; logs: one line a record
processes        the processes that answer, and how they end; patience: slow clients
health, model    what operators ask; openapi_health: what is documented of health
errors           exceptions to problem documents
pages            GET / and signing in
"""

import gc

GARBAGE_THRESHOLDS = (50_000, 20, 50)
"""How much is made anew before the collector looks for what only refers to itself. A request leaves
next to nothing of that kind, and so do imports; looking after every 700 objects costs a tenth of a
request's time, and a sixth of the start's. Set here, before anything of the service is imported."""

gc.set_threshold(*GARBAGE_THRESHOLDS)
