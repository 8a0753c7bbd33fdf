"""Launcher of a checkout: `python cli.py ...` is `gekeras ...` without installing the command."""

from gekeras.cli import main

if __name__ == "__main__":
    main()
