"""What the planted market trades: symbols, their prices and sizes, and who follows whom."""

from __future__ import annotations

from dataclasses import dataclass

DAY_S = 86_400.0


@dataclass(frozen=True)
class SymbolSpec:
    """How a symbol is quoted.

    Parameters
    ----------
    symbol : str
        Lower case, e.g. ``btcusdt``.
    price_decimals, quantity_decimals : int
        Tick size is 10**−price_decimals quote units, step size 10**−quantity_decimals base units.
    first_id : int
        Id of the first aggregate trade.
    first_trade_id : int
        Id of the first single trade.
    """

    symbol: str
    price_decimals: int
    quantity_decimals: int
    first_id: int = 1
    first_trade_id: int = 1

    @property
    def wire_name(self) -> str:
        """Upper case, as the exchange writes it in frames and rows."""
        return self.symbol.upper()


@dataclass(frozen=True)
class Driver:
    """A price that follows nobody: exp of the common factor and of a path of its own.

    ``price = level · exp(market_beta · common + own)``; both are Ornstein–Uhlenbeck in the log,
    with half-lives of weeks to months, so that within days they cannot be told from random walks
    and within years they stay near `level`.

    Parameters
    ----------
    level : float
        Long-run price, quote units.
    market_beta : float
        Share in the common factor.
    own_annual_vol : float
        Volatility of the own path, a fraction a year.
    own_half_life_days : float
        How slowly the own path comes back.
    """

    level: float
    market_beta: float
    own_annual_vol: float
    own_half_life_days: float = 60.0


@dataclass(frozen=True)
class Follower:
    """A price tied to another: ``hedge_ratio · price(of) + intercept + spread``.

    The spread is Ornstein–Uhlenbeck in price units with mean zero.

    Parameters
    ----------
    of : str
        The symbol followed.
    hedge_ratio, intercept : float
        The line, in price units.
    half_life_s : float
        Of the spread.
    spread_sd : float
        Stationary standard deviation of the spread, quote units.
    other_hedge_ratio : float or None
        Where given, the hedge ratio alternates: the regime breaks every `regime_s` seconds.
    pivot : float
        The price of `of` at which both lines meet; used with `other_hedge_ratio` only.
    regime_s : float
        Length of a regime; breaks fall on its multiples, counted from 06:00 UTC of the epoch's day.
    """

    of: str
    hedge_ratio: float
    intercept: float
    half_life_s: float
    spread_sd: float
    other_hedge_ratio: float | None = None
    pivot: float = 0.0
    regime_s: float = DAY_S / 2


@dataclass(frozen=True)
class Listing:
    """One symbol of the planted market.

    Parameters
    ----------
    spec : SymbolSpec
        How it is quoted.
    origin : Driver or Follower
        Where its price comes from.
    rate : float
        Aggregate trades a second, averaged over the day.
    typical_notional : float
        Median size of a print in quote units; sizes are lognormal.
    """

    spec: SymbolSpec
    origin: Driver | Follower
    rate: float
    typical_notional: float


def _driver(
    name: str, level: float, decimals: tuple[int, int], rate: float, beta: float, vol: float
) -> Listing:
    spec = SymbolSpec(name, *decimals)
    return Listing(spec, Driver(level, beta, vol), rate, typical_notional=400.0)


LISTINGS: tuple[Listing, ...] = (
    # Cointegrated chain: btc on eth, sol on btc.
    Listing(
        SymbolSpec("btcusdt", 1, 3),
        Follower("ethusdt", hedge_ratio=25.0, intercept=12_000.0, half_life_s=600.0, spread_sd=280),
        rate=8.0,
        typical_notional=1500.0,
    ),
    Listing(SymbolSpec("ethusdt", 2, 3), Driver(3_200.0, 1.0, 0.40), 6.0, 900.0),
    Listing(
        SymbolSpec("solusdt", 3, 2),
        Follower("btcusdt", hedge_ratio=0.0016, intercept=8.0, half_life_s=1800.0, spread_sd=0.9),
        rate=3.0,
        typical_notional=600.0,
    ),
    # Cointegrated, and the relation breaks twice a day.
    Listing(
        SymbolSpec("bnbusdt", 2, 2),
        Follower(
            "xrpusdt",
            hedge_ratio=280.0,
            intercept=100.0,
            half_life_s=300.0,
            spread_sd=1.6,
            other_hedge_ratio=340.0,
            pivot=2.2,
        ),
        rate=2.0,
        typical_notional=500.0,
    ),
    Listing(SymbolSpec("xrpusdt", 4, 1), Driver(2.2, 0.0, 0.45, 12.0), 2.5, 500.0),
    # Cointegrated with one another, not with the rest.
    Listing(
        SymbolSpec("linkusdt", 3, 2),
        Follower("adausdt", hedge_ratio=18.0, intercept=2.0, half_life_s=240.0, spread_sd=0.062),
        rate=1.5,
        typical_notional=400.0,
    ),
    Listing(SymbolSpec("adausdt", 5, 0), Driver(0.75, 0.0, 0.70), 1.5, 400.0),
    # Independent of everything.
    _driver("dogeusdt", 0.21, (5, 0), 2.0, 0.0, 0.80),
    _driver("trxusdt", 0.31, (5, 0), 0.6, 0.0, 0.35),
    _driver("xlmusdt", 0.38, (5, 0), 0.6, 0.0, 0.70),
    # Correlated through the common factor, yet cointegrated with nobody.
    _driver("avaxusdt", 28.0, (3, 0), 1.0, 1.2, 0.45),
    _driver("ltcusdt", 95.0, (2, 3), 1.0, 0.9, 0.40),
    _driver("dotusdt", 5.2, (3, 1), 0.8, 1.1, 0.45),
    _driver("suiusdt", 3.4, (4, 1), 1.0, 1.3, 0.60),
    _driver("nearusdt", 3.1, (3, 0), 0.6, 1.2, 0.55),
    _driver("aptusdt", 5.6, (3, 1), 0.6, 1.1, 0.55),
    _driver("uniusdt", 8.4, (3, 0), 0.6, 1.0, 0.60),
    _driver("filusdt", 2.6, (3, 1), 0.5, 1.1, 0.60),
    _driver("arbusdt", 0.46, (5, 1), 0.6, 1.2, 0.60),
    _driver("opusdt", 0.78, (5, 1), 0.6, 1.2, 0.60),
    _driver("atomusdt", 4.5, (3, 2), 0.5, 0.9, 0.50),
    _driver("bchusdt", 480.0, (2, 3), 0.6, 0.8, 0.45),
    _driver("etcusdt", 21.0, (3, 2), 0.5, 0.9, 0.50),
    _driver("aaveusdt", 290.0, (2, 1), 0.5, 1.1, 0.55),
)
"""The market as shipped: 24 perpetuals."""

COMMON_ANNUAL_VOL = 0.45
COMMON_HALF_LIFE_DAYS = 60.0
