"""`gekeras serve`, the package's own page and HTTP service: pictures in, restored pictures out."""
