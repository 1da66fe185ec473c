"""What Kubernetes puts into the environment of a pod: the address of each service in its namespace.

Beside a service named `kizashi` that is `KIZASHI_PORT=tcp://10.0.0.7:8000`, in the place of the
port to listen on and over whatever the image says, and more that look like settings.

Source: Kubernetes, "Service", environment variables.
"""

import re

ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+:[0-9]+")
OF_A_SERVICE = re.compile(
    r"KIZASHI_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_\w+)?)?)"
)


def is_address(value: object) -> bool:
    """Whether the value of `KIZASHI_PORT` is no setting, but the address of a service."""
    return isinstance(value, str) and ADDRESS.fullmatch(value) is not None


def of_a_service(name: str) -> bool:
    """Whether a variable of this name tells of a service whose name begins with `kizashi`."""
    return OF_A_SERVICE.fullmatch(name) is not None
