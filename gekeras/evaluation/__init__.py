"""Methods, pictures and scores: what restores better, and by how much."""
