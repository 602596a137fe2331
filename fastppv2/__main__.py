"""``python -m fastppv2``: the command line."""

import sys

from fastppv2.cli import main

sys.exit(main())
