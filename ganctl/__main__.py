"""`python -m ganctl` is the same as `ganctl`."""

import sys

from ganctl.cli import main

if __name__ == "__main__":
    sys.exit(main())
