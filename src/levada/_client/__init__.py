"""The way of commands to a server: sockets, retries, and the scheduler's port over them.

Nothing here decides who runs what, and nothing runs a task. A request that changes state is numbered and
repeated unchanged until it is answered (docs/promises.md, section 3).
"""
