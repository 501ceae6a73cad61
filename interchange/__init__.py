"""Data in and out of the platform as files: reading them with care, and writing them streamed."""
