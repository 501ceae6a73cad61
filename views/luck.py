"""How much of a sweep's best is luck, in figures and in plain words."""

from __future__ import annotations

from typing import Any

from errors import PlatformError
from views.text import percent

# Even, and with 924 ways to choose half of them: enough for a share to within two points.
BLOCKS = 12
_LEAST_A_BLOCK = 10

Fact = tuple[str, str, str]


def blocks_for(candles: int) -> int:
    """Blocks of time to keep for CSCV; 0 where a block would be too short to say anything."""
    return BLOCKS if candles >= BLOCKS * _LEAST_A_BLOCK else 0


def luck_of(result: Any, chosen_returns: Any | None) -> tuple[tuple[Fact, ...], str]:
    """Trials, deflated Sharpe and probability of overfitting of a sweep, and the verdict.

    Parameters
    ----------
    result : trading.optimize.SweepResult
    chosen_returns : (n,) float64 or None
        Returns a candle of the combination that is recommended; None where there is none.

    Returns
    -------
    (facts, verdict)
        ``facts`` are label, value and explanation; ``verdict`` is a sentence.
    """
    from trading.overfitting import deflated_sharpe

    trials = (
        "Trials",
        f"{result.trials:,}",
        "Combinations tried on these candles. The best of many looks good even where none is.",
    )
    if chosen_returns is None:
        return (trials,), "No combination traded, so there is nothing to judge."
    deflated = deflated_sharpe(chosen_returns, result.sharpes_a_candle())
    skill = (
        "Deflated Sharpe",
        percent(deflated.value, 1),
        deflated.reason
        or "Probability that the plateau's Sharpe is above what the best of so many trials "
        "without skill would show. Above 95 % is evidence.",
    )
    overfit, verdict = _overfitting(result)
    return (trials, overfit, skill), verdict


def _overfitting(result: Any) -> tuple[Fact, str]:
    from trading.overfitting import cscv

    label = "Probability of overfitting"
    if not result.complete:
        why = "The sweep was cancelled: it takes every combination."
        return (label, "–", why), f"{label}: –. {why}"
    if result.blocks is None:
        why = f"It takes {BLOCKS * _LEAST_A_BLOCK} candles, there are {result.candles}."
        return (label, "–", why), f"{label}: –. {why}"
    try:
        found = cscv(result.blocks, result.candles / result.blocks.shape[1])
    except PlatformError as problem:
        return (label, "–", str(problem)), f"{label}: –. {problem}"
    how = (
        f"CSCV: the candles are cut into {result.blocks.shape[1]} blocks; in each of "
        f"{found.splits:,} ways to take half of them the best combination is chosen on one half "
        "and ranked on the other. This is how often it lands below the median there."
    )
    return (label, percent(found.probability, 0), how), _words(found)


def _words(found: Any) -> str:
    share, losses = found.probability, found.loss_probability
    if share >= 0.5:
        judged = "choosing the best here is no better than choosing blindly: do not trade the peak"
    elif share >= 0.2:
        judged = "the best is partly luck: expect much less than it shows"
    else:
        judged = "what is best on one half tends to be good on the other as well"
    return (
        f"Overfitting: chosen on half of the candles, the best combination falls below the median "
        f"of the other half in {percent(share, 0)} of the splits, and loses there in "
        f"{percent(losses, 0)}; {judged}."
    )
