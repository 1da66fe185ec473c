"""The registered model in MLflow's own hands: nothing of this project has to be installed."""

import sysconfig
from pathlib import Path

from bench.ports import reserved
from tests.end_to_end.checkout import JOURNEY, Checkout, run
from tests.end_to_end.service import service

pytestmark = JOURNEY
PRODUCTION = "models:/kizashi@production"
# -S leaves out site-packages, and with them the link to the project's source; they are added
# again without it.
LOAD_WITHOUT_THE_PROJECT = f"""
import importlib.util, json, sys
sys.path.append({sysconfig.get_path("purelib")!r})
assert importlib.util.find_spec("kizashi") is None
import mlflow, pandas
model = mlflow.pyfunc.load_model({PRODUCTION!r})
rows = pandas.DataFrame(
    {{"sound": [1.1, 3.0], "vibration": [1.2, 1.0], "current": [0.9, 2.0]}}
)
import kizashi
print("code:", kizashi.__file__)
print("verdicts:", json.dumps(model.predict(rows)["status"].tolist()))
"""


def test_pyfunc_loads_it_where_the_project_is_not(trained: Checkout, tmp_path: Path) -> None:
    environment = trained.environment | {"MLFLOW_TRACKING_URI": trained.tracking_uri}
    del environment["PYTHONPATH"]
    printed = run(("python", "-S", "-c", LOAD_WITHOUT_THE_PROJECT), tmp_path, environment)
    assert 'verdicts: ["normal", "anomaly"]' in printed
    assert "/artifacts/code/kizashi/__init__.py" in printed


def test_models_serve_answers_invocations(trained: Checkout, tmp_path: Path) -> None:
    environment = trained.environment | {"MLFLOW_TRACKING_URI": trained.tracking_uri}
    del environment["PYTHONPATH"]
    command = ("mlflow", "models", "serve", "--env-manager", "local", "-m", PRODUCTION)
    rows = {"columns": ["vibration", "current", "sound"], "data": [[1.2, 0.9, 1.1], [1, 2, 3]]}
    with reserved() as port:
        address = ("--host", "127.0.0.1", "--port", str(port))
        with service((*command, *address), tmp_path, environment, port, "/ping") as running:
            answer = running.post("/invocations", {"dataframe_split": rows}).content
    normal, anomalous = answer["predictions"]
    assert (normal["status"], anomalous["status"]) == ("normal", "anomaly")
    assert normal["score"] < anomalous["score"]
