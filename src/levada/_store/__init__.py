"""The memory: rows in, rows out, no opinions.

``ports.py`` says what a store is; ``opening.py`` opens one by its URL; ``sqlite.py``, ``postgres.py`` and
``memory.py`` are the kinds. ``history.py`` is another memory: that of runs without a server.
"""
