"""The service: rows of sensor values in, verdicts out.

main, app        the ASGI application; create_app(settings)
later            what no verdict needs comes once the service is ready; routers: what that is
settings         every setting
processes        the processes that answer, and how they end; companion: those beside them
http             what every request needs before anybody knows what it asks
verdicts         rows in, verdicts out: the scoring core, and POST /anomaly over it
protocols        what clients of KServe, Triton, MLflow, SageMaker and Azure already speak
formats          batches as CSV, JSON, Arrow and Parquet
following        how a worker comes by the detector that it serves, and by the next one
history, alarms  what was judged, and what people have to know of it; threshold: their own
notify           alarms that reach people and machines; attendant: the process that sends them
access           who may ask what; keys: who has which; limits: how often
metrics, logs    what is counted, and what is said
health, model    what operators ask; openapi_health: what is documented of health
errors           exceptions to problem documents
pages            what people see
sagemaker        how SageMaker starts a container
"""

import gc

GARBAGE_THRESHOLDS = (50_000, 20, 50)
"""How much is made anew before the collector looks for what only refers to itself. A request leaves
next to nothing of that kind, and so do imports; looking after every 700 objects costs a tenth of a
request's time, and a sixth of the start's. Set here, before anything of the service is imported."""

gc.set_threshold(*GARBAGE_THRESHOLDS)
