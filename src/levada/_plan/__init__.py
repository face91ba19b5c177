"""Task objects become plain data here: what exists is asked, what is missing is planned, and why.

``existence`` asks targets in batches; ``walk`` goes from the wanted tasks to their requirements.
This is the one room that calls ``requires()``, ``output()`` and ``complete()`` of users' classes.
"""
