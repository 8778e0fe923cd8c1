"""Pictures of mixtures and their reduction."""
