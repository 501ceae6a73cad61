"""What stands in which column of the arrays that the trading loops read and write."""

from __future__ import annotations

# Columns of the settings row.
ENTRY, EXIT, Z_STOP, SPREAD_STOP, TAKE_PROFIT, MAX_HOLDING, COOLDOWN = range(7)
SIZE_BY, AMOUNT, LEVERAGE, FEE, SLIP, IMPACT, SLIP_CAP = range(7, 14)
STEP1, MIN_QTY1, MIN_NOTIONAL1, STEP2, MIN_QTY2, MIN_NOTIONAL2 = range(14, 20)
EQUITY, REHEDGE_DRIFT, LAG, CLOSE_END = range(20, 24)
N_SETTINGS = 24

# Columns of the totals row.
(
    T_EQUITY,
    T_SUM,
    T_SQUARES,
    T_DRAWDOWN,
    T_TRADES,
    T_WINS,
    T_EXPOSED,
    T_TURNOVER,
    T_FEES,
    T_SLIPPAGE,
    T_FUNDING,
    T_REFUSED,
    T_OPEN,
    T_GAINS,
    T_LOSSES,
) = range(15)
N_TOTALS = 15

# Columns of a trade.
(
    C_SIDE,
    C_SIGNAL_IN,
    C_FILL_IN,
    C_SIGNAL_OUT,
    C_FILL_OUT,
    C_QTY1,
    C_QTY2,
    C_IN1,
    C_IN2,
    C_OUT1,
    C_OUT2,
    C_HEDGE,
    C_REASON,
    C_FEES,
    C_SLIPPAGE,
    C_FUNDING,
    C_GROSS1,
    C_GROSS2,
    C_EQUITY_IN,
    C_EQUITY_OUT,
    C_FINE_OUT,
    C_FEES1,
    C_FUNDING1,
    C_SLIPPAGE1,
    C_QTY2_IN,
) = range(25)
N_TRADE = 25
