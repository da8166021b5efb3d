"""`python -m druse` is the `druse` command: clients are configured with an absolute interpreter path."""

from druse.cli import main

if __name__ == "__main__":
    main(prog_name="druse")
