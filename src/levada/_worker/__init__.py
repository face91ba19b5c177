"""The worker: claims tasks, runs them, reports. ``executor`` is the port between the claim loop and what runs ``run()``.

``attempt`` runs one attempt in this process, ``report`` words what went wrong; ``inline`` and ``threads`` use it
directly, ``pool`` through persistent children (``process`` is a child seen by its parent, ``child`` its own loop).
"""
