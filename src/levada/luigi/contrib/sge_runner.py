"""What a node runs for an SGEJobTask: ``python sge_runner.py FOLDER PROJECT [--no-tarball]``."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # In place of the folder of this file, whose modules would hide those that they are named after: the code that travelled.
    sys.path[0] = f"{sys.argv[1]}/levada-code.zip"
    from levada.luigi.contrib._cluster import run_on_node

    sys.exit(run_on_node(sys.argv[1:]))
