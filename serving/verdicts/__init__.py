"""Rows in, verdicts out: the one scoring core, and POST /anomaly over it.

scoring          the core that every protocol asks; together: windows that came at the same time
judging          batches on their way, piece by piece
fast_road        answers a row that is in order before all layers
score, batch     POST /anomaly and POST /anomaly/batch; openapi: what is documented of them
aside            on which thread the work of a whole request is done
one_window       leads POST /anomaly past FastAPI's router
"""
