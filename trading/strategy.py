"""Mean reversion of a spread on its z-score, decided one closed candle at a time.

`MeanReversion` is the state machine which paper trading feeds; the backtest's loop compiles the
same `kernels.scalars.decide`, so the two cannot disagree (a property test holds them to it).

The rules, once:

* Flat: short the spread when z > ``entry_th``, long when z < −``entry_th``.
* Long: leave when z ≥ −``exit_th``. Short: leave when z ≤ ``exit_th``.
* Flat before opposite: the candle that closes a position never opens the other.
* A NaN z changes nothing; stops on price and on time still act.
* Stops before targets: spread stop, z-stop, take-profit, z exit, time stop, in this order.
"""

from __future__ import annotations

import enum
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from errors import BadInput
from kernels import scalars


class Side(enum.IntEnum):
    """Side of the spread: long buys price1 and sells price2."""

    SHORT = -1
    FLAT = 0
    LONG = 1


class Reason(enum.IntEnum):
    """Why a decision was made; the number is what the compiled loop returns."""

    STAY = scalars.STAY
    ENTER_LONG = scalars.ENTER_LONG
    ENTER_SHORT = scalars.ENTER_SHORT
    EXIT_ZSCORE = scalars.EXIT_ZSCORE
    SPREAD_STOP = scalars.EXIT_SPREAD_STOP
    Z_STOP = scalars.EXIT_Z_STOP
    TAKE_PROFIT = scalars.EXIT_TAKE_PROFIT
    TIME_STOP = scalars.EXIT_TIME
    RUIN = scalars.EXIT_RUIN
    FORCED = scalars.EXIT_FORCED

    @property
    def text(self) -> str:
        """The reason in a few words, as tables show it."""
        return REASON_TEXT[self]


REASON_TEXT: dict[Reason, str] = {
    Reason.STAY: "nothing to do",
    Reason.ENTER_LONG: "z below −entry",
    Reason.ENTER_SHORT: "z above entry",
    Reason.EXIT_ZSCORE: "z crossed exit",
    Reason.SPREAD_STOP: "spread stop",
    Reason.Z_STOP: "z-stop",
    Reason.TAKE_PROFIT: "take-profit",
    Reason.TIME_STOP: "time stop",
    Reason.RUIN: "equity used up",
    Reason.FORCED: "closed by hand or at an edge",
}


@dataclass(frozen=True, slots=True)
class Rules:
    """Thresholds of the strategy.

    Parameters
    ----------
    entry_th, exit_th : float
        z-scores; ``entry_th`` is at least 0 and above ``exit_th``. A negative ``exit_th`` waits
        for the spread to overshoot its mean.
    z_stop : float
        Leave where z has gone this far against the position, and open nothing beyond it.
        Infinity: no such stop.
    spread_stop, take_profit : float
        Loss and profit of the frozen spread, gross of costs, as a fraction of its gross notional
        at entry (`kernels.scalars.frozen_move`). Infinity: none.
    max_holding : int
        Candles after which a position is left; 0: no time stop.
    cooldown : int
        Candles after the one that decided an exit on which nothing is opened.
    """

    entry_th: float = 2.0
    exit_th: float = 0.0
    z_stop: float = math.inf
    spread_stop: float = math.inf
    take_profit: float = math.inf
    max_holding: int = 0
    cooldown: int = 0

    def __post_init__(self) -> None:
        check_thresholds(self.entry_th, self.exit_th)
        if not self.z_stop > self.entry_th:
            raise BadInput(
                f"The z-stop must be above the entry threshold {self.entry_th:g}, "
                f"found {self.z_stop:g}."
            )
        for name in ("spread_stop", "take_profit"):
            if not getattr(self, name) > 0:
                raise BadInput(
                    f"{name} is a positive fraction of the notional, found {getattr(self, name)}."
                )
        for name in ("max_holding", "cooldown"):
            count = getattr(self, name)
            if count != int(count) or count < 0:
                raise BadInput(f"{name} is a whole number of candles from 0 up, found {count}.")

    @property
    def plain(self) -> bool:
        """Whether only the two thresholds act."""
        return (
            math.isinf(self.z_stop)
            and math.isinf(self.spread_stop)
            and math.isinf(self.take_profit)
            and self.max_holding == 0
            and self.cooldown == 0
        )


def check_thresholds(entry_th: float, exit_th: float) -> None:
    """Refuse thresholds that make no strategy, with a sentence.

    Raises
    ------
    BadInput
        Not finite, entry below 0, or entry not above exit.
    """
    if not (math.isfinite(entry_th) and math.isfinite(exit_th)):
        raise BadInput(f"Thresholds are finite z-scores, found entry {entry_th}, exit {exit_th}.")
    if entry_th < 0:
        raise BadInput(f"The entry threshold is at least 0, found {entry_th:g}.")
    if entry_th <= exit_th:
        raise BadInput(
            f"The entry threshold must be above the exit threshold, "
            f"found entry {entry_th:g} and exit {exit_th:g}."
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What one closed candle asked for, with everything that went into it.

    ``target`` is the side to hold from the next fill on, ``previous`` the side before;
    ``blocked`` says in words why an entry that z asked for was not made, else it is empty.
    """

    close_time_ms: int
    previous: Side
    target: Side
    reason: Reason
    zscore: float
    spread: float = math.nan
    hedge_ratio: float = math.nan
    move: float = math.nan
    held: int = 0
    blocked: str = ""

    @property
    def acts(self) -> bool:
        """Whether an order follows."""
        return self.target != self.previous

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a log or the database; sides and reason as words."""
        out = asdict(self)
        out["previous"], out["target"] = self.previous.name, self.target.name
        out["reason"] = self.reason.name
        return out


@dataclass(frozen=True, slots=True)
class MachineState:
    """All that `MeanReversion` remembers, for the database.

    ``held`` counts closes since the entry was decided, ``cooling`` the closes still to pass
    before an entry; the entry prices and the hedge ratio are those of the frozen spread.
    """

    side: int = 0
    held: int = 0
    cooling: int = 0
    entry_price1: float = math.nan
    entry_price2: float = math.nan
    hedge_ratio: float = math.nan


class MeanReversion:
    """The strategy as a state machine, fed with closed candles in time order.

    The machine takes its order for filled: call `filled` with the fill prices so that the price
    stops know where the spread was bought, or `refused` when the order did not go through.

    Examples
    --------
    >>> machine = MeanReversion(Rules(entry_th=2.0, exit_th=0.5))
    >>> machine.on_close(60_000, 2.4).target.name
    'SHORT'
    >>> machine.on_close(120_000, 0.3).reason.text
    'z crossed exit'
    """

    def __init__(self, rules: Rules, state: MachineState | None = None) -> None:
        self.rules = rules
        self.state = state or MachineState()
        self._before = self.state

    @property
    def side(self) -> Side:
        """Side held or ordered."""
        return Side(self.state.side)

    def on_close(
        self,
        close_time_ms: int,
        zscore: float,
        *,
        spread: float = math.nan,
        price1: float = math.nan,
        price2: float = math.nan,
        hedge_ratio: float = math.nan,
        blocked: str = "",
    ) -> Decision:
        """Decide on one closed candle.

        Parameters
        ----------
        close_time_ms : int
            UTC epoch milliseconds, for the record only: the machine reads no clock.
        zscore, spread, hedge_ratio : float
            Of the closed candle, known at its close.
        price1, price2 : float
            Closes of the two legs, for the price stops; NaN leaves those unjudged.
        blocked : str
            Why nothing may be opened now (session, gap, no cointegration), in words; empty
            when it may.
        """
        self._before, state, rules = self.state, self.state, self.rules
        held = state.held + 1 if state.side else 0
        move = self.move(price1, price2)
        if not blocked and state.cooling > 0:
            blocked = f"cool-down, {state.cooling} candles to go"
        code = scalars.decide(
            zscore,
            state.side,
            held,
            move,
            not blocked,
            rules.entry_th,
            rules.exit_th,
            rules.z_stop,
            rules.spread_stop,
            rules.take_profit,
            rules.max_holding,
        )
        wanted = state.side == 0 and rules.entry_th < abs(zscore) < rules.z_stop
        self._go(code, held, hedge_ratio)
        return Decision(
            close_time_ms,
            Side(self._before.side),
            self.side,
            Reason(code),
            zscore,
            spread,
            hedge_ratio,
            move,
            held,
            blocked if wanted else "",
        )

    def on_price(self, time_ms: int, price1: float, price2: float) -> Decision | None:
        """Judge only the price stops, between closes; None where nothing is to be done.

        For ticks or finer candles of both legs. The stop is judged before the target.
        """
        if self.state.side == 0:
            return None
        move = self.move(price1, price2)
        if move <= -self.rules.spread_stop:
            code = scalars.EXIT_SPREAD_STOP
        elif move >= self.rules.take_profit:
            code = scalars.EXIT_TAKE_PROFIT
        else:
            return None
        return self._leave(code, time_ms, move)

    def close(self, time_ms: int, reason: Reason = Reason.FORCED) -> Decision | None:
        """Leave now, for a cause from outside the rules; None when flat already."""
        return None if self.state.side == 0 else self._leave(int(reason), time_ms, math.nan)

    def filled(self, price1: float, price2: float, hedge_ratio: float) -> None:
        """Tell at what prices and hedge ratio the entry was filled and frozen."""
        self.state = replace(
            self.state, entry_price1=price1, entry_price2=price2, hedge_ratio=hedge_ratio
        )

    def refused(self) -> None:
        """Tell that the order of the last decision did not go through: undo it.

        A refused entry is forgotten; a refused exit leaves the position as it was, and the next
        close decides again.
        """
        self.state = self._before

    def move(self, price1: float, price2: float) -> float:
        """Profit of the frozen spread as a fraction of its notional at entry; NaN when unknown."""
        s = self.state
        if s.side == 0 or math.isnan(s.entry_price1):
            return math.nan
        return scalars.frozen_move(
            s.side, price1, price2, s.entry_price1, s.entry_price2, s.hedge_ratio
        )

    def _leave(self, code: int, time_ms: int, move: float) -> Decision:
        self._before = self.state
        held, hedge_ratio = self.state.held, self.state.hedge_ratio
        self._go(code, held, hedge_ratio)
        return Decision(
            time_ms,
            Side(self._before.side),
            Side.FLAT,
            Reason(code),
            math.nan,
            hedge_ratio=hedge_ratio,
            move=move,
            held=held,
        )

    def _go(self, code: int, held: int, hedge_ratio: float) -> None:
        state = self.state
        if code == scalars.STAY:
            cooling = max(state.cooling - 1, 0)
            self.state = replace(state, held=held, cooling=cooling)
        elif code in (scalars.ENTER_LONG, scalars.ENTER_SHORT):
            side = 1 if code == scalars.ENTER_LONG else -1
            self.state = MachineState(side=side, hedge_ratio=hedge_ratio)
        else:
            self.state = MachineState(cooling=self.rules.cooldown)
