"""The ``dispatchtorch`` command: what ``_COMMANDS`` lists, and plugins' own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(with_plugins=not _is_builtin(arguments))
    parsed = parser.parse_args(arguments)
    try:
        return int(parsed.run(parsed) or 0)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        if parsed.traceback:
            raise
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f"dispatchtorch {parsed.command}: {message}", file=sys.stderr)
        return 1


def _is_builtin(arguments: Sequence[str]) -> bool:
    return bool(arguments) and arguments[0] in _COMMANDS


def _parser(with_plugins: bool) -> argparse.ArgumentParser:
    from dispatchtorch.version import __version__

    parser = argparse.ArgumentParser(
        prog="dispatchtorch",
        description="PyTorch's API in Python: every device a plugin, every feature a "
        "dispatch layer.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--traceback", action="store_true", help="show the traceback of an error"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in _COMMANDS.values():
        add(commands)
    if with_plugins:
        from dispatchtorch.plugins import manager

        manager.register_commands(commands)
    return parser


def _demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "demo", help="train a small CNN on handwritten digits, with a progress bar"
    )
    parser.add_argument("--device", default="cpu", help="device to train on (cpu)")
    parser.add_argument("--epochs", type=_positive, default=8, help="epochs (8)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (0)")
    parser.add_argument(
        "--output",
        default="dispatchtorch-demo",
        help="folder for the checkpoint and the plot (dispatchtorch-demo)",
    )

    def run(arguments: argparse.Namespace) -> int:
        from dispatchtorch._cli.demo import demo

        return demo(
            arguments.device, arguments.epochs, arguments.seed, arguments.output
        )

    parser.set_defaults(run=run)


def _doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "doctor", help="check plugins and devices, and say how to get what is missing"
    )

    def run(arguments: argparse.Namespace) -> int:
        from dispatchtorch._cli.doctor import doctor

        return doctor()

    parser.set_defaults(run=run)


def _explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "explain", help="show how an operator is dispatched on a device, and why"
    )
    parser.add_argument("operator", help="name or name.overload, e.g. softmax or add")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--grad", action="store_true", help="with operands that require grad"
    )
    parser.add_argument("--dtype", default="float32")

    def run(arguments: argparse.Namespace) -> int:
        from dispatchtorch._cli.explain import explain

        print(
            explain(
                arguments.operator, arguments.device, arguments.grad, arguments.dtype
            )
        )
        return 0

    parser.set_defaults(run=run)


def _coverage(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "coverage",
        help="show which primitives a device has, what it trains, what to add next",
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--programs",
        action="store_true",
        help="show the primitives that training a CNN and a transformer takes",
    )

    def run(arguments: argparse.Namespace) -> int:
        from dispatchtorch._cli import coverage

        if arguments.programs:
            print(coverage.programs())
        else:
            print(coverage.coverage(arguments.device))
        return 0

    parser.set_defaults(run=run)


def _conformance(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "conformance", help="test a device against cpu: every operator and dtype"
    )
    parser.add_argument("--device", default="cpu", help="device to test (cpu)")
    parser.add_argument(
        "--ops", default="", metavar="REGEX", help="operators with such names alone"
    )
    parser.add_argument(
        "--dtypes", metavar="A,B", help="these dtypes alone, e.g. float32,int64"
    )
    parser.add_argument(
        "--report",
        action="append",
        default=[],
        metavar="FILE",
        help="write the report to FILE too (.md, .html, .json, .txt; repeatable)",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show every check, not failures alone"
    )

    def run(arguments: argparse.Namespace) -> int:
        from dispatchtorch._cli.conformance import conformance

        return conformance(
            arguments.device,
            arguments.ops,
            arguments.dtypes,
            arguments.report,
            arguments.verbose,
        )

    parser.set_defaults(run=run)


def _new(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "new", help="write the package of a plugin: a device, a layer, operators"
    )
    parser.add_argument("kind", choices=("backend", "layer", "operator-library"))
    parser.add_argument("name", metavar="NAME", help="the device's or plugin's name")
    parser.add_argument(
        "--into", default=".", metavar="FOLDER", help="where the folder is made (here)"
    )

    def run(arguments: argparse.Namespace) -> int:
        from dispatchtorch._cli.new import new

        new(arguments.kind, arguments.name, arguments.into)
        return 0

    parser.set_defaults(run=run)


def _run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "run",
        help="run an unmodified PyTorch script: `import torch` gives dispatchtorch",
    )
    parser.add_argument(
        "-m",
        dest="module",
        action="store_true",
        help="SCRIPT is a module name, as for python -m",
    )
    parser.add_argument("script", metavar="SCRIPT")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS")

    def run(arguments: argparse.Namespace) -> int:
        from dispatchtorch.compat import run_script

        if not arguments.module and not os.path.isfile(arguments.script):
            raise FileNotFoundError(f"no such script: {arguments.script}")
        arguments.traceback = True  # from here on errors are the program's own
        run_script(arguments.script, arguments.arguments, as_module=arguments.module)
        return 0

    parser.set_defaults(run=run)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


_COMMANDS = {
    "demo": _demo,
    "doctor": _doctor,
    "explain": _explain,
    "coverage": _coverage,
    "conformance": _conformance,
    "new": _new,
    "run": _run,
}
