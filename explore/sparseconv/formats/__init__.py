"""The published formats of sparse maps, array by array, in plain NumPy."""
