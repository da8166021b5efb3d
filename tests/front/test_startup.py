"""What a server loads before it can answer: start-up time is a feature."""

from __future__ import annotations

import subprocess
import sys


def test_a_server_starts_without_what_only_finding_and_matching_need() -> None:
    script = (
        "import sys, druse.front.serving, druse.front.application\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'numpy', 'wordllama', 'tokenizers', 'rich'}))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stdout + done.stderr
