"""``python -m explore``: the command line."""

from explore.cli.main import main

if __name__ == "__main__":
    main()
