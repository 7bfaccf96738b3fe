"""``python -m runtime <process>``: run one process of the service alone."""

from __future__ import annotations

import sys

from runtime.processes import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
