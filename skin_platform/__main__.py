"""``python -m skin_platform``: the same as ``skin``."""

from skin_platform.cli import main

if __name__ == "__main__":
    main()
