"""Auto mode on the desk: candle closes from the database to decisions, decisions to orders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from database import Snapshot
from desk.state import DeskState
from desk.watch import last_close_ms
from errors import BadInput
from storage.books import AutoRow
from trading.auto import AutoSettings, AutoState, Judged, judge, signals_of
from trading.candle_pair import PairCandles, frozen_array
from trading.paper import PaperAccount
from trading.paper_pairs import PairRequest, PairState
from trading.strategy import MeanReversion, Reason

_MISSED = "the desk was not running at this close"
_LONGEST_CATCH_UP = 500


def closed_pair_candles(
    snapshot: Snapshot, settings: AutoSettings, limit: int, close_ms: int
) -> PairCandles:
    """Candles of both legs that ended at ``close_ms`` or before, on common times."""
    first, second = (
        snapshot.candle_columns(s, settings.timeframe, limit=limit, before_ms=close_ms)
        for s in (settings.symbol1, settings.symbol2)
    )
    common, i, j = np.intersect1d(first.open_ms, second.open_ms, return_indices=True)
    return PairCandles(
        time_ms=common,
        open1=frozen_array(first.open[i]),
        open2=frozen_array(second.open[j]),
        close1=frozen_array(first.close[i]),
        close2=frozen_array(second.close[j]),
        volume1=frozen_array(first.volume[i]),
        volume2=frozen_array(second.volume[j]),
        timeframe_ms=settings.length_ms,
        symbol1=settings.symbol1,
        symbol2=settings.symbol2,
    )


def run_autos(state: DeskState, snapshot: Snapshot, now_ms: int) -> None:
    """Let every pair in auto mode decide on the closes that it has not seen."""
    for row in list(state.autos.values()):
        settings = AutoSettings.from_dict(row.settings)
        auto = AutoState.from_dict(row.state)
        close_ms = last_close_ms(settings.timeframe, now_ms)
        if close_ms > auto.last_close_ms and row.account in state.accounts:
            _AutoTurn(state, row, settings, auto).run(snapshot, close_ms, now_ms)


class _AutoTurn:
    """One visit to one pair in auto mode."""

    def __init__(
        self, state: DeskState, row: AutoRow, settings: AutoSettings, auto: AutoState
    ) -> None:
        self.state, self.row, self.settings, self.auto = state, row, settings, auto
        self.account: PaperAccount = state.accounts[row.account]
        self.machine = MeanReversion(settings.rules, auto.machine)

    def run(self, snapshot: Snapshot, close_ms: int, now_ms: int) -> None:
        """Judge each unseen close in order; only the newest may open a position."""
        length = self.settings.length_ms
        unseen = min(_LONGEST_CATCH_UP, (close_ms - self.auto.last_close_ms) // length)
        # Twice what is needed: a leg without a trade leaves a candle out.
        limit = 2 * self.settings.candles_needed + unseen
        candles = closed_pair_candles(snapshot, self.settings, limit, close_ms)
        closes = candles.time_ms + length
        try:
            signals = signals_of(candles, self.settings)
        except BadInput as error:
            self._log_nothing(close_ms, str(error))
            self._keep(close_ms)
            return
        for index in np.flatnonzero(closes > self.auto.last_close_ms).tolist():
            self._catch_up_with_pair(now_ms)
            blocked = "" if closes[index] == close_ms else _MISSED
            judged = judge(self.machine, candles, signals, index, blocked)
            self._act(judged, now_ms)
        if not len(closes) or closes[-1] != close_ms:
            self._log_nothing(close_ms, "no candle of both legs ended here")
        self._keep(close_ms)

    def _catch_up_with_pair(self, now_ms: int) -> None:
        """Tell the strategy what became of its pair: filled, or closed by something else."""
        pair = self.account.pairs.get(self.auto.pair_id)
        machine = self.machine
        if pair is None or pair.state is PairState.CLOSING:
            if self.auto.pair_id and machine.side:
                machine.close(now_ms, Reason.FORCED)
            if pair is None:
                self.auto = replace(self.auto, pair_id="")
        elif pair.state is PairState.OPEN and np.isnan(machine.state.entry_price1):
            machine.filled(pair.entry_price1, pair.entry_price2, pair.held_ratio)

    def _act(self, judged: Judged, now_ms: int) -> None:
        """Order what was decided, and log the decision with what came of it."""
        decision, outcome = judged.decision, ""
        if decision.acts and decision.target:
            outcome = self._enter(judged, now_ms)
        elif decision.acts:
            reason = f"auto mode: {decision.reason.text}"
            closing = self.account.close_pair(self.auto.pair_id, now_ms, reason)
            outcome = "closing both legs" if closing else "the pair was closed already"
        elif decision.blocked:
            outcome = f"not entered: {decision.blocked}"
        body = judged.to_dict(outcome)
        body |= {"pair_id": self.auto.pair_id, "decided_ms": now_ms}
        self.state.log_decision(self.row.id, decision.close_time_ms, body)

    def _enter(self, judged: Judged, now_ms: int) -> str:
        decision, settings = judged.decision, self.settings
        pair_id = f"{self.row.id}@{decision.close_time_ms}"
        if self.account.pairs.get(self.auto.pair_id) is not None:
            self.machine.refused()
            return "not entered: the pair before is still closing"
        request = PairRequest(
            pair_id, settings.symbol1, settings.symbol2,
            "LONG" if decision.target > 0 else "SHORT",
            decision.hedge_ratio, settings.amount, settings.by,
            spread_stop=settings.rules.spread_stop, take_profit=settings.rules.take_profit,
            capped=True, auto_id=self.row.id,
        )  # fmt: skip
        try:
            self.account.open_pair(request, now_ms)
        except BadInput as error:
            self.machine.refused()
            return f"refused: {error}"
        self.auto = replace(self.auto, pair_id=pair_id)
        return "both legs ordered at market"

    def _log_nothing(self, close_ms: int, why: str) -> None:
        body = {"close_time_ms": close_ms, "reason": "STAY", "outcome": f"no signal: {why}"}
        self.state.log_decision(self.row.id, close_ms, body)

    def _keep(self, close_ms: int) -> None:
        auto = replace(self.auto, machine=self.machine.state, last_close_ms=close_ms)
        self.state.put_auto(self.row._replace(state=auto.to_dict()))
