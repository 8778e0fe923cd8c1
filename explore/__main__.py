"""``python -m explore``: the command line."""

from explore.cli import main

if __name__ == "__main__":
    main()
