"""What FastAPI and pydantic cost before anything is computed."""

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Row(BaseModel):
    """One row of sensor values."""

    values: list[float]
    source: str | None = None
    timestamp: str | None = None


class Verdict(BaseModel):
    """What is answered."""

    score: float
    status: str


@app.post("/anomaly")
async def anomaly(row: Row) -> Verdict:
    """Nothing is computed."""
    return Verdict(score=0.034, status="normal")


@app.get("/ready")
async def ready() -> dict[str, str]:
    """Always."""
    return {"status": "ready"}
