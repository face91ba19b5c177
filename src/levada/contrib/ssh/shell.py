"""What is run on the far side: POSIX sh and its usual company (cat, ln, mkdir, mv, rm, sed, sleep, tail, tr, uname; ps without /proc).

A job is a folder. ``job.NONCE`` is its script, ``claim`` who runs it: one line, linked into place whole, so that of several
submissions of one name one is run. ``output`` is what the program says, ``exit`` its exit status, renamed into place;
``cancelled`` and ``timed-out`` say that it was ended. A claim ``void`` was made by who looked for a job and found none: what was
on its way then is not started any more.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

COMMAND = "exec sh -s"
"""What the login shell is told, be it sh, csh or fish; the script comes by standard input, of any length."""

MARK = "levada:"  # begins each line that is meant for us: shells that greet say more
REFUSED = 73  # exit status where a folder or file cannot be made
GRACE = 10  # seconds from SIGTERM to SIGKILL

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_PROCESSES = r"""
proc=/proc
node() { uname -n; }
boot() {
    { cat "$proc/sys/kernel/random/boot_id" || sysctl -n kern.boottime || echo unknown; } 2>/dev/null | tr -cd 'A-Za-z0-9-'
}
# The fields of a process from its state on; none when it is gone, or dead and not buried.
fields() {
    { read -r line <"$proc/$1/stat"; } 2>/dev/null || return 1
    line=${line##*") "}
    case $line in Z* | X* | '') return 1 ;; esac
}
# When a process began.
began() {
    if [ -r "$proc/self/stat" ]; then
        fields "$1" || return 0
        set -- $line
        echo "${20}"
    else
        case $(LC_ALL=C ps -o stat= -p "$1" 2>/dev/null) in
        '' | Z*) ;;
        *) LC_ALL=C ps -o lstart= -p "$1" | tr -cd 'A-Za-z0-9' ;;
        esac
    fi
}
# The session of a process; its group where only ps tells.
session_of() {
    if [ -r "$proc/self/stat" ]; then
        fields "$1" || return 0
        set -- $line
        echo "$4"
    else
        ps -o pgid= -p "$1" | tr -cd '0-9'
    fi
}
# The processes of a session, or group.
members() {
    session=$1
    if [ -r "$proc/self/stat" ]; then
        for entry in "$proc"/[0-9]*; do
            fields "${entry##*/}" || continue
            set -- $line
            if [ "$4" = "$session" ]; then echo "${entry##*/}"; fi
        done
    else
        LC_ALL=C ps -A -o pid= -o pgid= -o stat= | sed -n "s/^ *\([0-9]*\)  *$session  *[^Z ].*/\1/p"
    fi
}
# What the claim of a folder says.
claimed() { read -r c_nonce c_node c_boot c_pid c_began c_session <"$1/claim"; }
# What is left of its session, but for its supervisor and us; nothing where the numbers belong to others by now.
rest() {
    [ "$c_node" = "$(node)" ] && [ "$c_boot" = "$(boot)" ] || return 0
    now=$(began "$c_pid")
    [ -z "$now" ] || [ "$now" = "$c_began" ] || return 0
    for pid in $(members "$c_session"); do
        case $pid in "$c_pid" | $$) ;; *) echo "$pid" ;; esac
    done
}
if command -v setsid >/dev/null 2>&1; then alone=setsid; else alone=; fi
"""

_JOB = r"""
job=${0%/*}
nonce=${0##*/job.}
watch() {
    trap 'kill "$sleeping" 2>/dev/null; exit 0' TERM
    sleep "$seconds" & sleeping=$!
    wait "$sleeping"
    : >"$job/timed-out"
    $alone sh "$0" end </dev/null >/dev/null 2>&1 &
}
run() {
    claim=$job/.claim.$nonce
    echo "$nonce $(node) $(boot) $$ $(began $$) $(session_of $$)" >"$claim" || exit 73
    if ! ln "$claim" "$job/claim" 2>/dev/null; then
        claimed "$job"
        if [ "$c_nonce" != "$nonce" ]; then  # a file system far away may say that it failed, and have done it
            rm -f "$claim" "$0"
            exit 0
        fi
    fi
    exec >/dev/null 2>&1
    rm -f "$claim"
    watcher=
    if [ -e "$job/cancelled" ]; then
        status=143
    else
        if [ -n "$seconds" ]; then watch & watcher=$!; fi
        (work) </dev/null >"$job/output" 2>&1
        status=$?
    fi
    if [ -n "$watcher" ]; then kill "$watcher"; fi
    until echo "$status" >"$job/.exit" && mv -f "$job/.exit" "$job/exit"; do
        [ -d "$job" ] || exit 0
        sleep 5
    done
}
end() {
    trap '' TERM
    claimed "$job" || exit 0
    left=$(rest)
    if [ -n "$left" ]; then kill -TERM $left; fi
    waited=0
    while [ "$waited" -lt "$grace" ]; do
        sleep 1
        waited=$((waited + 1))
        left=$(rest)
        [ -n "$left" ] || [ "$waited" -lt 3 ] || exit 0  # what was claimed may be about to begin
    done
    for round in 1 2 3; do
        left=$(rest)
        if [ -n "$left" ]; then kill -KILL $left; fi
        sleep 1
    done
}
"$1"
"""

_STATE = r"""
here=$(node)
up=$(boot)
ended() {
    { read -r status <"$1/exit"; } 2>/dev/null || return 1
    why=-
    if [ -e "$1/timed-out" ]; then why=timed-out; fi
    if [ -e "$1/cancelled" ]; then why=cancelled; fi
    echo "levada: ended $status $why"
}
state() {
    if ! { claimed "$1"; } 2>/dev/null || [ "$c_nonce" = void ]; then echo "levada: gone"; return; fi
    ended "$1" && return
    if [ "$c_node" != "$here" ]; then echo "levada: elsewhere $c_node $here"; return; fi
    if [ "$c_boot" != "$up" ]; then echo "levada: rebooted"; return; fi
    if [ "$(began "$c_pid")" = "$c_began" ]; then echo "levada: running"; return; fi
    if [ -n "$(rest)" ]; then echo "levada: orphan"; return; fi
    ended "$1" && return
    if [ -e "$1/cancelled" ]; then echo "levada: killed cancelled"; else echo "levada: killed -"; fi
}
"""

_MEND = 'if [ -e "$job/claim" ] && [ ! -s "$job/claim" ]; then rm -f "$job/claim"; fi  # the power went before it was on the disk'


def whole(script: str) -> bytes:
    """A script that is run as a whole or, where a cut connection brings a part of it, not at all."""
    return f"{{\nmask=$(umask)\numask 077\n{script}\nexit 0\n}}\n".encode("utf-8", "surrogateescape")


def submit(
    submission: str,
    folder: str,
    argv: Sequence[str],
    *,
    nonce: str,
    env: Mapping[str, str],
    where: str,
    memory: int | None,
    seconds: int | None,
    title: str,
    void: str,
) -> bytes:
    """Start a job in its folder below ``folder``, or find that its name is taken: prints whose it is, and the folder.

    nonce: new for each call; each run of the script adds its own number.
    where: the folder that it runs in, "" for the user's own. memory: bytes of address space of each of its processes.
    void: a claim of who found none, that may be taken away.
    """
    work = [f"cd {shlex.quote(where)} || exit 127" if where else 'cd "$HOME" || exit 127']
    if memory is not None:
        work.append(f"ulimit -v {max(1, memory // 1024)} || exit 126")
    work += [f"export {name}={shlex.quote(value)}" for name, value in env.items()]
    work.append(f"exec {shlex.join(argv)}")
    body = "\n    ".join(work)
    settings = f"seconds={seconds or ''}\ngrace={GRACE}\n"
    job = f"# {' '.join(title.split())}\n{_PROCESSES}\n{settings}\nwork() {{\n    {body}\n}}\n{_JOB}"
    return whole(
        f"""{_PROCESSES}
{_place(submission, folder)}
mkdir -p "$job" || exit {REFUSED}
{_MEND}
if {{ claimed "$job"; }} 2>/dev/null && [ "$c_nonce $c_node" = 'void {void}' ]; then rm -f "$job/claim"; fi
script=$job/job.{nonce}-$$
cat >"$script" <<'END.{nonce}' || exit {REFUSED}
{job}
END.{nonce}
umask "$mask"
said=$($alone sh "$script" run </dev/null 2>&1 &)
if ! {{ claimed "$job"; }} 2>/dev/null; then echo "$said" >&2; exit {REFUSED}; fi
echo "levada: $c_nonce $job"
"""
    )


def find(submission: str, folder: str, *, void: str) -> bytes:
    """Print whose a job is, and its folder. Where nobody has claimed it, nobody will any more."""
    return whole(
        f"""{_PROCESSES}
{_place(submission, folder)}
{_MEND}
if [ ! -e "$job/claim" ]; then
    mkdir -p "$job" && echo 'void {void}' >"$job/.claim.{void}" || exit {REFUSED}
    ln "$job/.claim.{void}" "$job/claim" 2>/dev/null
    rm -f "$job/.claim.{void}"
fi
claimed "$job" || exit {REFUSED}
if [ "$c_nonce" = void ]; then echo "levada: void $c_node"; else echo "levada: $c_nonce $job"; fi
"""
    )


def poll(jobs: Sequence[str]) -> bytes:
    """Print how jobs stand, a line each."""
    return whole(_PROCESSES + _STATE + "\n".join(f"state {shlex.quote(job)}" for job in jobs))


def cancel(job: str) -> bytes:
    """Have a job ended: SIGTERM to its session, and SIGKILL after a grace."""
    return whole(
        f"""{_PROCESSES}
job={shlex.quote(job)}
if [ ! -e "$job/claim" ] || [ -e "$job/exit" ]; then exit 0; fi
claimed "$job" && : >"$job/cancelled" || exit {REFUSED}
if [ "$c_node" != "$(node)" ]; then echo "levada: elsewhere $c_node $(node)"; exit 0; fi
$alone sh "$job/job.$c_nonce" end </dev/null >/dev/null 2>&1 &
"""
    )


def logs(job: str, most: int) -> bytes:
    """Print the last bytes of what it said, after a line of ours."""
    return whole(f"echo '{MARK} log'\n[ ! -e {shlex.quote(job)}/output ] || tail -c {most} {shlex.quote(job)}/output")


def forget(job: str) -> bytes:
    """Remove its folder."""
    return whole(f"rm -rf -- {shlex.quote(job)} || exit {REFUSED}")


def is_name(text: str) -> bool:
    """Whether a shell takes it for the name of a variable."""
    return bool(_NAME.fullmatch(text))


def _place(submission: str, folder: str) -> str:
    base = shlex.quote(folder) if folder.startswith("/") else '"${HOME:?}"/' + shlex.quote(folder)
    return f"job={base}/{submission}"
