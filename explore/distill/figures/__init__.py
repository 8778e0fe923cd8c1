"""Pictures of attention matching, untrained networks and accuracies."""
