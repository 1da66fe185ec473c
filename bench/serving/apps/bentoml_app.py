"""The detector behind BentoML, one worker."""

import bentoml


@bentoml.service(workers=1, traffic={"timeout": 60})
class Anomaly:
    """One row a request."""

    def __init__(self) -> None:
        from bench.serving.apps.verdicts import verdict

        self.verdict = verdict

    @bentoml.api(route="/anomaly")  # type: ignore[untyped-decorator]  # not in this environment
    async def anomaly(self, values: list[float]) -> dict[str, float | str]:
        """Judge it."""
        return self.verdict(values)
