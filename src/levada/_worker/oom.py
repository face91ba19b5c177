"""Did the kernel kill for want of memory? A SIGKILL alone does not say who sent it."""

from __future__ import annotations


def oom_kills() -> int | None:
    """How often the kernel killed in our cgroup, or else on this machine; None where it does not say."""
    for path in (*_cgroup_files(), "/proc/vmstat"):
        count = _count(path)
        if count is not None:
            return count
    return None


def _cgroup_files() -> list[str]:
    try:
        with open("/proc/self/cgroup") as groups:
            lines = [line.rstrip("\n").split(":", 2) for line in groups]
    except OSError:
        return []
    files = [f"/sys/fs/cgroup/memory{path}/memory.oom_control" for _, names, path in lines if "memory" in names.split(",")]
    return files + [f"/sys/fs/cgroup{path.rstrip('/')}/memory.events" for _, names, path in lines if not names]


def _count(path: str) -> int | None:
    """The number behind the word oom_kill in a file of words and numbers."""
    try:
        with open(path) as events:
            found = [line.split()[1] for line in events if line.startswith("oom_kill ")]
        return int(found[0]) if found else None
    except (OSError, ValueError, IndexError):
        return None
