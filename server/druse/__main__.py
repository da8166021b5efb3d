"""`python -m druse` is the `druse` command: clients are configured with an absolute interpreter path."""

import sys


def main() -> None:
    """Run the command. What a client waits for, `serve` and `hook CLIENT`, begins before anything else is imported."""
    given = sys.argv[1:]
    plain = given == ["serve"] or (given[:2] == ["serve", "--workspace"] and len(given) == 3)
    if plain and sys.platform != "win32":
        from druse.shim import main as join

        sys.exit(join())
    if sys.argv[1:2] == ["hook"] and not any(word.startswith("-") for word in sys.argv[2:]) and sys.argv[2:]:
        from druse.hook import main as hook

        del sys.argv[1]
        hook()
    from druse.cli import main as command

    command(prog_name="druse")


if __name__ == "__main__":
    main()
