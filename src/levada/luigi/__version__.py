"""``luigi.__version__``: which Luigi the annex answers for."""

VERSION = "3.8.1"
