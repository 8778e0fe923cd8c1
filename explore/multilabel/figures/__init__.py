"""Pictures of multi-label learning: losses, weights of the contrast, and uncertainty."""
