# Sourced by the other scripts: finds a Python and the checkout's own virtual environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
VENV="$ROOT/.venv"

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3.14 python3 python; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys, venv; raise SystemExit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "Druse needs Python 3.11 to 3.14 on the PATH (or set PYTHON to one)." >&2
  return 1
}
