"""Opens the door when ``luigi`` is first imported; until then it costs next to nothing.

Any Python of the process tree may start this: where it has no Levada, its own ``luigi`` stays what it is. A
``sitecustomize`` of others that this one stands before is run as well.
"""

import os
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec


class Bell:
    """A finder that waits for ``luigi``, and the loader that opens the door, behind which it is asked no more.

    The loader opens it, since Python asks finders under the lock of all imports, where nothing may be imported. It stays in its
    place: other threads may be on their way through the list of finders.
    """

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]  # typing need not be imported in every process
        """Itself as the loader, where there is a Levada."""
        if (name != "luigi" and not name.startswith("luigi.")) or find_spec("levada") is None:
            return None
        return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]  # a Loader in all but its base

    def create_module(self, spec):  # type: ignore[no-untyped-def]
        """A plain module, for a moment."""

    def exec_module(self, module):  # type: ignore[no-untyped-def]
        """Open the door; Levada's module takes the place of this one."""
        name = module.__name__
        if name == "luigi":
            from levada.luigi import door

            door.install(forget=False)
        else:
            import_module("luigi")  # which another thread may be at
        sys.modules[name] = import_module(f"levada.{name}")


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
