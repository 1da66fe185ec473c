"""What SageMaker expects of a container that it starts with the argument `serve`.

It asks `/ping` and `/invocations` on port 8080 (or the one that it names, where several containers
share an endpoint), and has unpacked the model's archive into one folder.

Source: Amazon SageMaker AI, "Custom inference code with hosting services".
"""

from collections.abc import MutableMapping
from pathlib import Path

PORT = "8080"
BIND_TO_PORT = "SAGEMAKER_BIND_TO_PORT"
MODEL = Path("/opt/ml/model")


def prepare(environment: MutableMapping[str, str], model: Path = MODEL) -> None:
    """Set SageMaker's port, whatever the image has set: it asks nowhere else. Every address and the
    unpacked model, where there is one, are taken if nothing else is set."""
    environment["KIZASHI_PORT"] = environment.get(BIND_TO_PORT, PORT)
    environment.setdefault("KIZASHI_HOST", "0.0.0.0")
    if model.is_dir():
        environment.setdefault("KIZASHI_MODEL_URI", str(model))
