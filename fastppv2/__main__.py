"""``python -m fastppv2``: the command line."""

import sys

from fastppv2.cli import main

if __name__ == "__main__":
    sys.exit(main())
