"""The operator's threshold: one set by hand in the place of the calibrated one, for one bundle.

change    what was decided, by whom and why, and the threshold that comes of it
desk      keeps the decisions, where every worker finds them
preview   what another threshold would mean
evaluated the same of the labelled rows that the model was evaluated on
api       over HTTP
"""
