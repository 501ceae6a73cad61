"""Strategy, ledger, backtest and what judges them. No I/O, no clock, no page."""
