"""Opens the door when ``luigi`` is first imported; until then it costs next to nothing.

Any Python of the process tree may start this: where it has no Levada, its own ``luigi`` stays what it is. A
``sitecustomize`` of others that this one stands before is run as well.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec


class Bell:
    """A finder that waits for ``luigi``, opens the door, and is gone."""

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]  # typing need not be imported in every process
        """Nothing of its own: the door's finder is asked."""
        if name != "luigi" and not name.startswith("luigi."):
            return None
        sys.meta_path.remove(self)
        if find_spec("levada") is None:
            return None
        from levada.luigi import door

        door.install()
        return sys.meta_path[0].find_spec(name, path)


def run_the_next_one() -> None:
    """Import the ``sitecustomize`` that Python would have imported without this folder."""
    here = os.path.dirname(os.path.abspath(__file__))
    found = PathFinder.find_spec("sitecustomize", [place for place in sys.path if os.path.abspath(place) != here])
    if found is None or found.loader is None:
        return
    module = sys.modules["sitecustomize"] = module_from_spec(found)
    found.loader.exec_module(module)


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, Bell())
    run_the_next_one()
