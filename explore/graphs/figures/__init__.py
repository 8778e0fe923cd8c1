"""Pictures of graphs: attention on nodes, condensation, changed edges and accuracies."""
