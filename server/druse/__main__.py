"""`python -m druse` is the `druse` command: clients are configured with an absolute interpreter path."""

import sys


def main() -> None:
    """Run the command. A bare `druse serve` goes to the shim before anything else is imported."""
    given = sys.argv[1:]
    plain = given == ["serve"] or (given[:2] == ["serve", "--workspace"] and len(given) == 3)
    if plain and sys.platform != "win32":
        from druse.shim import main as join

        sys.exit(join())
    from druse.cli import main as command

    command(prog_name="druse")


if __name__ == "__main__":
    main()
