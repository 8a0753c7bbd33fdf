"""Training of the generator and the autoencoders."""
