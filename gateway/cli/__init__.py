"""The command line. Each command imports what it needs when it runs, so that `--help` is instant."""

import os
import sys
from typing import Any, Final, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from core.model.errors import CausewayError, FatalError, RetryableError

app = typer.Typer(
    name="causeway",
    help="A gateway between blockchains: atomic swaps, proven queries, one supervision view.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
relayer_app = typer.Typer(help="Run a relayer with your own keys and inventory.", no_args_is_help=True)
regulator_app = typer.Typer(help="Run the supervision API.", no_args_is_help=True)
chain_app = typer.Typer(help="Create and run a consortium chain.", no_args_is_help=True)
index_app = typer.Typer(help="Follow chains into a database, by itself; look at it, check it.", no_args_is_help=True)
keys_app = typer.Typer(help="Make, show, bring in and take out the keys of a keystore.", no_args_is_help=True)
supervise_app = typer.Typer(
    help="What supervisors do: orders that hold an address, rules over whole histories.", no_args_is_help=True
)
hold_app = typer.Typer(
    help="Hold an address on a consortium chain: two officers, each on a machine of their own.", no_args_is_help=True
)
contract_app = typer.Typer(help="Create and verify the contract that holds locks on EVM chains.", no_args_is_help=True)


class _Swaps(TyperGroup):
    """A group whose first word need not be a command: `causeway swap 0.5 eth cnyd` makes a swap."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["make", *args]
        return super().parse_args(ctx, args)


swap_app = typer.Typer(
    cls=_Swaps,
    help="Swap as a dApp does: `causeway swap 0.5 eth cnyd`. Or look at swaps: list, show, explain, replay.",
    no_args_is_help=True,
)
app.add_typer(swap_app, name="swap")
app.add_typer(relayer_app, name="relayer")
app.add_typer(keys_app, name="keys")
app.add_typer(contract_app, name="contract")
app.add_typer(regulator_app, name="regulator")
app.add_typer(chain_app, name="chain")
app.add_typer(index_app, name="index")
app.add_typer(supervise_app, name="supervise")
supervise_app.add_typer(hold_app, name="hold")

E = TypeVar("E", bound=Exception)


def _print_version(asked: bool) -> None:
    if asked:
        from core.runtime.version import VERSION

        typer.echo(f"causeway {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    pass


EXIT_REFUSED: Final = 1
EXIT_UNSAFE: Final = 3
EXIT_TRY_AGAIN: Final = 75
"""sysexits.h EX_TEMPFAIL: the same command may succeed later."""


def main() -> None:
    """Run the command line; an expected error becomes one plain sentence and an exit code that says who acts."""
    # They register their commands.
    import gateway.cli.audits
    import gateway.cli.contracts
    import gateway.cli.daemons
    import gateway.cli.devnet
    import gateway.cli.doctor
    import gateway.cli.equivocations
    import gateway.cli.founding
    import gateway.cli.indexing
    import gateway.cli.keys
    import gateway.cli.members
    import gateway.cli.orders
    import gateway.cli.prices
    import gateway.cli.queries
    import gateway.cli.replay
    import gateway.cli.rotation
    import gateway.cli.setup
    import gateway.cli.supervising
    import gateway.cli.swap_views
    import gateway.cli.swaps
    import gateway.cli.switches
    import gateway.cli.treasury
    import gateway.cli.verification  # noqa: F401

    try:
        app()
    except CausewayError as error:
        _end(error)
    except BaseExceptionGroup as group:
        if (expected := group.subgroup(CausewayError)) is not None:
            _end(_first(expected))
        if (refused := group.subgroup(OSError)) is not None:
            _end(_said(_first(refused)))
        if (failed := group.subgroup((MemoryError, RuntimeError))) is not None:
            _end_exhausted(_first(failed))
        raise
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has enough. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_REFUSED)
    except OSError as error:
        _end(_said(error))
    except (MemoryError, RuntimeError) as error:
        _end_exhausted(error)
        raise


def _end_exhausted(error: Exception) -> None:
    """End if a resource of this machine is at its end; return if the error means something else."""
    from core.runtime.exhaustion import exhausted

    said = exhausted(error, "this command")
    if said is not None:
        _end(RetryableError(said.message))


def _end(error: CausewayError) -> NoReturn:
    Console(stderr=True).print(f"[bold red]error:[/] {plain(error.message)}", highlight=False, soft_wrap=True)
    sys.exit(_exit_code(error))


def plain(text: str) -> str:
    """Text for the terminal without markup, and without characters that would steer it: others chose the words."""
    return escape("".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text))


def _first(group: BaseExceptionGroup[E]) -> E:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _said(error: OSError) -> RetryableError:
    """Return the system's refusal in its own words, with the file."""
    place = f": {error.filename}" if error.filename else ""
    return RetryableError(f"{error.strerror or type(error).__name__}{place}")


def _exit_code(error: CausewayError) -> int:
    if isinstance(error, RetryableError):
        return EXIT_TRY_AGAIN
    return EXIT_UNSAFE if isinstance(error, FatalError) else EXIT_REFUSED
