"""The detector behind LitServe, one worker."""

import os
from typing import Any

import litserve


class Anomaly(litserve.LitAPI):  # type: ignore[misc]  # not in the project's environment
    """One row a request."""

    def setup(self, device: str) -> None:
        """Load the detector in the worker."""
        from bench.serving.apps.verdicts import verdict

        self.verdict = verdict

    def decode_request(self, request: dict[str, Any]) -> list[float]:
        """The row."""
        values: list[float] = request["values"]
        return values

    def predict(self, values: list[float]) -> dict[str, Any]:
        """Judge it."""
        return self.verdict(values)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """As it is."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Anomaly(api_path="/anomaly"), accelerator="cpu")
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
