"""The service beside other servers of models; `python -m bench.serving` runs it."""
