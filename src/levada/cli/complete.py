"""``levada complete SHELL``: the script that teaches a shell our commands; families come from ``levada list``."""

from __future__ import annotations

from collections.abc import Mapping

from .._model import exit_codes
from ..errors import UsageError
from .app import COMMANDS

BASH = """_levada() {
  local current=${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "@commands@" -- "$current"))
  elif [[ $current == -* ]]; then
    local known=$(levada "${COMP_WORDS[@]:1:COMP_CWORD-1}" --help 2>/dev/null | grep -oE -- '--[a-zA-Z][a-zA-Z0-9-]*' | sort -u)
    COMPREPLY=($(compgen -W "$known" -- "$current"))
  else
    COMPREPLY=($(compgen -W "$(levada list 2>/dev/null | cut -d' ' -f1)" -- "$current") $(compgen -f -- "$current"))
  fi
}
complete -F _levada levada
"""
ZSH = "autoload -U +X bashcompinit && bashcompinit\n" + BASH
FISH = """complete -c levada -f -n __fish_use_subcommand -a "@commands@"
complete -c levada -n "not __fish_use_subcommand" -a "(levada list 2>/dev/null | cut -d' ' -f1)"
"""
SCRIPTS: Mapping[str, str] = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Print the script of one shell."""
    script = SCRIPTS.get(arguments[0]) if len(arguments) == 1 else None
    if script is None:
        hint = f"Write `levada complete SHELL` with one of {', '.join(SCRIPTS)}; for bash: source <(levada complete bash)."
        raise UsageError("complete: which shell?", hint=hint)
    print(script.replace("@commands@", " ".join(COMMANDS)), end="")
    return exit_codes.OK
