"""Multi-label."""
