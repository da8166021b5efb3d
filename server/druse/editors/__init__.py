"""Other programs' configuration: where each client keeps it, how it is edited in place and how that is undone."""

from druse.editors.clients import CLIENTS, NAME, Client, Scope, client_named
from druse.editors.handshake import Handshake, command_of, shake
from druse.editors.installing import Edit, Edited, Installed, entry_in, install, server_file
from druse.editors.machine import Machine, hook_command, serve_arguments
from druse.editors.removing import uninstall

__all__ = [
    "CLIENTS",
    "NAME",
    "Client",
    "Edit",
    "Edited",
    "Handshake",
    "Installed",
    "Machine",
    "Scope",
    "client_named",
    "command_of",
    "entry_in",
    "hook_command",
    "install",
    "serve_arguments",
    "server_file",
    "shake",
    "uninstall",
]
