"""`python -m sandbox`."""

import sys

try:
    from sandbox.cli import main

    sys.exit(main())
except KeyboardInterrupt:
    # Interrupted before there was anything to say.
    sys.exit(130)
