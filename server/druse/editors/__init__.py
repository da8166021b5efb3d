"""Other programs' configuration: where each client keeps it, how it is edited in place and how that is undone."""

from druse.editors.clients import CLIENTS, NAME, Client, Scope, client_named
from druse.editors.handshake import Handshake, command_of, end_daemon, shake
from druse.editors.hooks import has_hooks, hook_edit, hook_file
from druse.editors.installing import Edit, Edited, Installed, entry_in, install, server_file
from druse.editors.machine import Machine, hook_command, serve_arguments
from druse.editors.removing import uninstall
from druse.editors.takeover import Takeover, take_over

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
    "Takeover",
    "client_named",
    "command_of",
    "end_daemon",
    "entry_in",
    "has_hooks",
    "hook_command",
    "hook_edit",
    "hook_file",
    "install",
    "serve_arguments",
    "server_file",
    "shake",
    "take_over",
    "uninstall",
]
