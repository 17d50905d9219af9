"""The sandbox image: one Dockerfile, two ways to its base."""
