"""`cnn-bench completion`: a script that has a shell complete commands and options.

It is text that needs nothing else: to ask cnn-bench at each press of the key would take as long as
importing it. It is made from the commands themselves whenever it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from bench.cli.commands import COMMANDS, application, load
from bench.cli.options import one_of

HELP = "--help"


@dataclass(frozen=True)
class Words:
    """What may follow a command: the names of its sub-commands, and its options."""

    commands: tuple[str, ...]
    options: tuple[str, ...]


def commands() -> Mapping[str, Words]:
    """Every command by its words, cnn-bench itself by ""."""
    top = typer.main.get_command(application())
    found = {"": Words(tuple(COMMANDS), _options(top))}
    for name, (target, _) in COMMANDS.items():
        found |= _below(name, typer.main.get_command(load(target)))
    return found


def _below(name: str, command: Any) -> Iterator[tuple[str, Words]]:
    inner = getattr(command, "commands", {})
    yield name, Words(tuple(inner), _options(command))
    for other, each in inner.items():
        yield from _below(f"{name} {other}", each)


def _options(command: Any) -> tuple[str, ...]:
    names = [
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("-")
    ]
    return (*names, HELP)


def _bash(found: Mapping[str, Words]) -> str:
    return f"""\
_cnn_bench_words() {{
    case "$1" in
{_cases(found)}
    esac
}}

_cnn_bench() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} place='' word inner flags i
    _cnn_bench_words "$place"
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        [[ " $inner " == *" $word "* ]] || continue
        place="${{place:+$place }}$word"
        _cnn_bench_words "$place"
    done
    [[ $current == -* ]] && inner=$flags
    mapfile -t COMPREPLY < <(compgen -W "$inner" -- "$current")
}}

complete -o default -F _cnn_bench cnn-bench
"""


def _zsh(found: Mapping[str, Words]) -> str:
    return f"""\
#compdef cnn-bench
_cnn_bench_words() {{
    case "$1" in
{_cases(found)}
    esac
}}

_cnn_bench() {{
    local current=${{words[CURRENT]}} place='' word inner flags i
    _cnn_bench_words "$place"
    for ((i = 2; i < CURRENT; i++)); do
        word=${{words[i]}}
        [[ " $inner " == *" $word "* ]] || continue
        place="${{place:+$place }}$word"
        _cnn_bench_words "$place"
    done
    if [[ $current == -* ]]; then
        compadd -- ${{=flags}}
    elif [[ -n $inner ]]; then
        compadd -- ${{=inner}}
    else
        _files
    fi
}}

if [[ ${{zsh_eval_context[-1]}} == loadautofunc ]]; then
    _cnn_bench "$@"
else
    compdef _cnn_bench cnn-bench
fi
"""


def _cases(found: Mapping[str, Words]) -> str:
    """What bash and zsh both read: sub-commands and options of each command."""
    return "\n".join(
        f"    '{name}') inner='{' '.join(words.commands)}' flags='{' '.join(words.options)}' ;;"
        for name, words in found.items()
    )


def _fish(found: Mapping[str, Words]) -> str:
    inner = {name: words.commands for name, words in found.items() if words.commands}
    flags = {name: words.options for name, words in found.items()}
    return f"""\
function __cnn_bench_commands
    switch "$argv[1]"
{_fish_cases(inner)}
    end
end

function __cnn_bench_options
    switch "$argv[1]"
{_fish_cases(flags)}
    end
end

function __cnn_bench_place
    set -l place ''
    for word in (commandline -opc)[2..-1]
        if contains -- $word (__cnn_bench_commands "$place")
            set place (string trim -- "$place $word")
        end
    end
    echo $place
end

complete -c cnn-bench -n 'count (__cnn_bench_commands (__cnn_bench_place)) > /dev/null' -f
complete -c cnn-bench -a '(__cnn_bench_commands (__cnn_bench_place))'
complete -c cnn-bench -n 'string match -q -- "-*" (commandline -ct)' \\
    -a '(__cnn_bench_options (__cnn_bench_place))'
"""


def _fish_cases(found: Mapping[str, tuple[str, ...]]) -> str:
    return "\n".join(
        f"        case '{name}'\n            printf '%s\\n' {' '.join(words)}"
        for name, words in found.items()
    )


SCRIPTS: Mapping[str, Callable[[Mapping[str, Words]], str]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
"""What makes the script of each shell."""


def completion(
    shell: Annotated[
        str,
        typer.Argument(
            metavar="SHELL", help=f"{', '.join(SCRIPTS)}.", callback=one_of(tuple(SCRIPTS))
        ),
    ],
) -> None:
    """Print a script by which a shell completes commands and options.

    bash reads it from ~/.local/share/bash-completion/completions/cnn-bench, zsh from a file
    _cnn-bench in a folder of its fpath, fish from ~/.config/fish/completions/cnn-bench.fish.
    """
    print(SCRIPTS[shell](commands()), end="")
