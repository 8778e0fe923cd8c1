"""Pictures of sparse formats."""
