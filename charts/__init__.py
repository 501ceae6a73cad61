"""Figures as plain dicts, in Plotly's vocabulary.

A figure is ``{"data": [trace, …], "layout": {…}}`` whose columns are NumPy arrays and whose times
are epoch milliseconds (int64). `visualizations` makes Plotly figures of them, `live` sends them to
the browser as they are. Nothing in here computes a statistic or knows Streamlit.
"""
