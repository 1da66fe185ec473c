"""Kizashi (兆し, "early sign"): anomaly detection for manufacturing, learnt from normal rows."""
