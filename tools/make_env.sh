#!/bin/sh
# Make .venv from the lock file: `tools/make_env.sh run` (Levada and what it needs) or `dev` (and the tools).
#
# Works on a machine that has a Python 3.11+ and nothing else: Debian's python3 comes without pip and
# without ensurepip. Tried in order: uv, venv, virtualenv, venv with a pip of the outside, and, as root
# with apt-get, Debian's own package. PYTHON=/path/to/python says which interpreter to take.
set -eu
cd "$(dirname "$0")/.."

level=${1:-dev}
venv=${VENV:-.venv}
lock=requirements/$level.lock
stamp=$venv/.levada-$level
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { printf '%s\n' "env: $*" >&2; }
quietly() { "$@" >"$log" 2>&1; }

[ -f "$lock" ] || { say "no $lock; the levels are: run, dev"; exit 2; }

good_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3}; do
        if good_python "$name"; then command -v "$name"; return; fi
    done
    say "no Python 3.11 or newer found${PYTHON:+ at PYTHON=$PYTHON}."
    say "Install one (Debian 12+: apt-get install python3 python3-venv) or say PYTHON=/path/to/python3."
    exit 1
}

whole() { [ -x "$venv/bin/python" ] && good_python "$venv/bin/python"; }

# An environment without pip is whole enough where a pip of the outside can serve it.
make_venv() {
    if [ -n "$uv" ] && quietly "$uv" venv --python "$python" "$venv"; then return; fi
    # --clear: a try that failed half-way leaves a folder that looks like an environment
    if quietly "$python" -m venv --clear "$venv"; then return; fi
    if quietly "$python" -m virtualenv "$venv"; then return; fi
    if command -v virtualenv >/dev/null && quietly virtualenv -p "$python" "$venv"; then return; fi
    if "$python" -m pip --version >/dev/null 2>&1 && quietly "$python" -m venv --clear --without-pip "$venv"; then return; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "this Python cannot make environments; installing python3-venv"
        quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv ||
            { quietly apt-get update && quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv; } ||
            { cat "$log" >&2; exit 1; }
        if quietly "$python" -m venv --clear "$venv"; then return; fi
    fi
    rm -rf "$venv"
    cat "$log" >&2
    say "$python cannot make a virtual environment here. Any one of these helps:"
    say "    apt-get install python3-venv        (Debian, Ubuntu; as root)"
    say "    the package that holds venv or pip  (other systems)"
    say "    an installed uv or virtualenv       (then the same command again)"
    exit 1
}

# Packages come with the hashes of the lock file or not at all.
install() {
    if [ -n "$uv" ]; then "$uv" pip install --quiet --python "$venv/bin/python" "$@"
    elif "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@"
    else "$python" -m pip --python "$venv/bin/python" install --quiet --disable-pip-version-check --no-input "$@"
    fi
}

uv=$(command -v uv || true)
if [ -n "$uv" ] && ! "$uv" --version >/dev/null 2>&1; then uv=; fi  # a shim that leads nowhere
if ! whole; then
    python=$(find_python)
    say "making $venv with $("$python" --version 2>&1) ($python)"
    make_venv
else
    python=$venv/bin/python
    [ -z "${PYTHON:-}" ] || python=$PYTHON
fi
say "installing $lock"
# --no-deps: the lock names all there is. Left to resolve, older pips take a newer release of what one package
# asks for with an extra (coverage[toml]), and stop because the lock has no hash for it.
install --require-hashes --no-deps -r "$lock"
# The build tools stand in the lock too: nothing unlocked is fetched for the editable installation.
install --no-deps --no-build-isolation -e .
: >"$stamp"
say "$venv is ready ($level)"
