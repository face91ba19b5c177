#!/bin/sh
# The demo on real data. The interpreter: the first argument, else $PYTHON, else that of `make env`.
set -eu
cd "$(dirname "$0")/../.."
python=${1:-${PYTHON:-.venv/bin/python}}
exec "$python" -m examples.flights.demo
