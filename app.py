"""The page: landing, sidebar, tabs. `streamlit run app.py` serves it.

Run as a script by Streamlit this file draws the page; imported by the server it is the
application: routes for the chart library, and a start and stop around all sessions.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st


def main() -> None:
    """Draw the page once."""
    # Here and not above: components register with the server that runs, so it has to run by then.
    from tabs import landing, shell

    st.set_page_config(
        page_title="Crypto Analytics Platform",
        page_icon=str(Path(__file__).with_name("live") / "icon.svg"),
        layout="wide",
        initial_sidebar_state="auto",
    )
    shell.style()
    if shell.launched():
        shell.desk()
    else:
        landing.render()


if __name__ == "__main__":
    main()
else:
    from tabs import server

    app = st.App(
        __file__,
        lifespan=server.lifespan,
        routes=server.routes(),
        middleware=server.middleware(),
    )
