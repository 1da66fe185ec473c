"""All that is needed to judge a row: NumPy, ONNX Runtime and JSON; no torch, no pandas.

Arrays wear their shapes: `B` windows, `N` rows, `T` rows in a window, `F` sensors. A single row is
a window with `T = 1`.
"""
