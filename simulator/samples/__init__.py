"""Recordings of the planted market that come with the platform."""
