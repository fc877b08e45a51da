"""``python -m hornbeamd`` is the command ``hornbeamd``."""

from hornbeamd.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
