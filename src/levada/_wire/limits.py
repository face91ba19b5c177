"""How much a message may hold (docs/promises.md, section 7). Past a limit a request is refused whole."""

from __future__ import annotations

VERSIONS = (1,)
"""Wire versions that this code speaks, oldest first."""

BODY = 16 << 20  # bytes of a request
SPEC = 256 << 10  # bytes of one task: parameters, module, batch group
TASKS = 1_000  # tasks, policies or keys in one message
ITEMS = 4_096  # reports of one kind, or growths, in one message
EDGES = 100_000  # requirements of one task in one message
HELD = 10_000  # fences that one renewal may name
ROOM = 4_096  # tasks that one message may ask for
NAME = 512  # characters of a name: family, resource, module, batch group, host
TEXT = 64 << 10  # characters of an error or of a piece of a log
REASON = 4_096  # characters
DEPTH = 32  # of JSON in the parameters of a task
LABELS = 1_000  # modules that an assistant offers; resources or exceptions of a policy
WAIT = 60.0  # seconds that an answer is held while there is nothing to grant
PAGE = 1_000  # rows of a page
INTEGER = (1 << 63) - 1
PRIORITY = 1 << 20
SECONDS = 1e10  # the longest duration, some 300 years: finite, so that sums stay finite too
COUNT = 1_000_000_000  # tasks that one message says were found complete
OFFSET = 1 << 53  # bytes before a piece of a log
