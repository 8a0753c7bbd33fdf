"""A photograph and the pieces of it that are solved: the center square, its faces, or tiles."""
