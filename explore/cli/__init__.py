"""The command line ``explore``."""
