"""Refuses phrases in the source that promise what no code keeps."""

import re
import sys
from pathlib import Path

PHRASES = re.compile(
    r"for now|placeholder|in production|simulat|not implemented yet|\bTODO\b|\bFIXME\b|would be\b", re.I
)


def main() -> int:
    found = 0
    for root in ("server", "sandbox"):
        for path in sorted(Path(root).rglob("*.py")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if PHRASES.search(line):
                    print(f"{path}:{number}: {line.strip()}")
                    found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
