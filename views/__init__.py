"""What a page shows, read in one snapshot: pure functions from stored data to frozen results.

A view is computed once and shared by every session that asks for the same within a moment, so
that fifty open pages cost little more than one. Nothing in here knows Streamlit.
"""
