"""Charts that are updated in place: one Plotly chart a key, never replaced while it is shown."""
