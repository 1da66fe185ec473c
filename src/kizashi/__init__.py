"""Kizashi (兆し, "early sign"): anomaly detection for manufacturing sensors, learnt from normal rows only."""
