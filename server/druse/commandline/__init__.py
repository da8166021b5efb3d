"""Command lines as words, for everyone who judges or learns them: nothing here runs anything."""

from druse.commandline.words import Command, NotPlain, Redirect, Word, has_order, plain_commands

__all__ = ["Command", "NotPlain", "Redirect", "Word", "has_order", "plain_commands"]
