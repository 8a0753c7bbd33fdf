"""Networks: progressive GAN, autoencoder."""
