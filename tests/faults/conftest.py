"""The pipelines here are for other processes: their families must not be known to the tests' own one."""

collect_ignore = ["layers.py", "wrong.py"]
