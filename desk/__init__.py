"""The desk: paper trading and alerts beside the collector, whether or not a page is open."""

from desk.service import Desk

__all__ = ["Desk"]
