"""The files beside this one are read by type checkers, never imported: some are wrong on purpose."""

collect_ignore_glob = ["accept_*.py", "reject_*.py"]
