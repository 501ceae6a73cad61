"""The face of the analytics: :class:`Analytics`, static methods, pure.

Every method hands over to a module of the package ``quant`` (or ``trading``), imported at the
first call, so that importing this module loads neither numba nor statsmodels nor scikit-learn.
An analytic of your own is one more static method here.

Conventions: ``price1`` is y and ``price2`` is x, so that price1 ≈ ratio · price2 + intercept and
spread = price1 − ratio · price2 − intercept. Series are joined on their common index and pairs
with a NaN dropped. Formulas, nulls and sources: ``docs/methodology.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from quant.breaks import ChowResult, CusumResult
    from quant.causality import GrangerBoth
    from quant.cointegration import BothDirections, EngleGrangerResult, JohansenResult
    from quant.copula import CopulaFit
    from quant.hurst import HurstResult
    from quant.mean_reversion import HalfLifeResult, OUFit
    from quant.results import Bands, HedgeFit, HedgePath
    from quant.scan import ScanResult
    from quant.unitroot import UnitRootResult, VarianceRatioResult
    from trading.spread_trades import SpreadBacktest


class Analytics:
    """Candles, hedge ratios, spreads, z-scores, volatilities, correlations, tests and scans."""

    # ---- candles -------------------------------------------------------------------------

    @staticmethod
    def resample_ohlcv(
        tick_df: pd.DataFrame, timeframe: str = "1min", *, fill: bool = False
    ) -> pd.DataFrame:
        """The candles of `tick_df`; see :func:`quant.resample.resample_ohlcv`."""
        from quant import resample

        return resample.resample_ohlcv(tick_df, timeframe, fill=fill)

    # ---- hedge ratios --------------------------------------------------------------------

    @staticmethod
    def calculate_hedge_ratio(
        price1: Any, price2: Any, method: str = "ols", *, log_prices: bool = False, **options: Any
    ) -> tuple[Any, Any]:
        """(ratio, intercept) of price1 on price2: floats, or Series for ``rolling_ols`` and
        ``kalman``; see :func:`quant.hedge.calculate_hedge_ratio`."""
        from quant import hedge

        return hedge.calculate_hedge_ratio(price1, price2, method, log_prices=log_prices, **options)

    @staticmethod
    def fit_hedge(
        price1: Any, price2: Any, method: str = "ols", *, log_prices: bool = False, **options: Any
    ) -> HedgeFit | HedgePath:
        """The hedge ratio with its errors, R² and residuals; see :func:`quant.hedge.fit_hedge`."""
        from quant import hedge

        return hedge.fit_hedge(price1, price2, method, log_prices=log_prices, **options)

    # ---- spread and z-score --------------------------------------------------------------

    @staticmethod
    def calculate_spread(
        price1: Any, price2: Any, ratio: Any, intercept: Any = 0.0, *, log_prices: bool = False
    ) -> pd.Series:
        """price1 − ratio · price2 − intercept; see :func:`quant.rolling.calculate_spread`."""
        from quant import rolling

        return rolling.calculate_spread(price1, price2, ratio, intercept, log_prices=log_prices)

    @staticmethod
    def calculate_zscore(spread: Any, window: int = 20, method: str = "rolling") -> pd.Series:
        """The z-score, ``rolling``, ``ewma`` or ``robust``; see
        :func:`quant.rolling.calculate_zscore`."""
        from quant import rolling

        return rolling.calculate_zscore(spread, window, method)

    @staticmethod
    def calculate_bollinger_bands(prices: Any, window: int = 20, num_std: float = 2) -> Bands:
        """(upper, middle, lower); see :func:`quant.rolling.calculate_bollinger_bands`."""
        from quant import rolling

        return rolling.calculate_bollinger_bands(prices, window, num_std)

    # ---- returns, volatility, correlation ------------------------------------------------

    @staticmethod
    def calculate_returns(prices: Any, kind: str = "log") -> Any:
        """``log`` or ``simple`` returns; see :func:`quant.rolling.calculate_returns`."""
        from quant import rolling

        return rolling.calculate_returns(prices, kind)

    @staticmethod
    def volatility(
        candles: Any,
        method: str = "realised",
        window: int = 20,
        *,
        timeframe: str | None = None,
        annualise: bool = True,
    ) -> pd.Series:
        """``realised``, ``parkinson``, ``garman_klass`` or ``yang_zhang``, annualised by candle
        length over 365 × 24 h; see :func:`quant.volatility.volatility`."""
        from quant import volatility

        return volatility.volatility(
            candles, method, window, timeframe=timeframe, annualise=annualise
        )

    @staticmethod
    def rolling_correlation(
        price1: Any, price2: Any, window: int = 20, *, returns: bool = False
    ) -> pd.Series:
        """The correlation over the last `window` candles; see
        :func:`quant.rolling.rolling_correlation`."""
        from quant import rolling

        return rolling.rolling_correlation(price1, price2, window, returns=returns)

    @staticmethod
    def correlation_matrix(
        prices: pd.DataFrame, *, returns: bool = True, method: str = "pearson"
    ) -> pd.DataFrame:
        """Correlations of all columns; see :func:`quant.correlation.correlation_matrix`."""
        from quant import correlation

        return correlation.correlation_matrix(prices, returns=returns, method=method)

    @staticmethod
    def cross_correlation(
        price1: Any, price2: Any, max_lag: int = 20, *, returns: bool = True
    ) -> pd.Series:
        """Correlation of price1 with price2 `lag` candles earlier; see
        :func:`quant.correlation.cross_correlation`."""
        from quant import correlation

        return correlation.cross_correlation(price1, price2, max_lag, returns=returns)

    @staticmethod
    def lead_lag_matrix(prices: pd.DataFrame, max_lag: int = 20, *, returns: bool = True) -> Any:
        """Who leads whom, by how much, and whether it is noise; see
        :func:`quant.correlation.lead_lag_matrix`."""
        from quant import correlation

        return correlation.lead_lag_matrix(prices, max_lag, returns=returns)

    # ---- tests and scans (stationarity, cointegration, copulas, all pairs) -----------------

    @staticmethod
    def adf_test(
        series: Any, trend: str = "c", autolag: str | None = "aic", max_lag: int | None = None
    ) -> UnitRootResult:
        """Augmented Dickey–Fuller, null: a unit root; see :func:`quant.unitroot.adf_test`."""
        from quant import unitroot

        return unitroot.adf_test(series, trend, autolag, max_lag)

    @staticmethod
    def kpss_test(series: Any, trend: str = "c", lags: int | str = "auto") -> UnitRootResult:
        """KPSS, null: stationarity; see :func:`quant.unitroot.kpss_test`."""
        from quant import unitroot

        return unitroot.kpss_test(series, trend, lags)

    @staticmethod
    def phillips_perron(series: Any, trend: str = "c", lags: int | None = None) -> UnitRootResult:
        """Phillips–Perron Z-tau, null: a unit root; see :func:`quant.unitroot.phillips_perron`."""
        from quant import unitroot

        return unitroot.phillips_perron(series, trend, lags)

    @staticmethod
    def variance_ratio(series: Any, lag: int = 2, robust: bool = True) -> VarianceRatioResult:
        """Lo–MacKinlay, null: a random walk; see :func:`quant.unitroot.variance_ratio`."""
        from quant import unitroot

        return unitroot.variance_ratio(series, lag, robust)

    @staticmethod
    def engle_granger(
        price1: Any,
        price2: Any,
        trend: str = "c",
        autolag: str | None = "aic",
        max_lag: int | None = None,
    ) -> EngleGrangerResult:
        """price1 on price2, null: not cointegrated; see
        :func:`quant.cointegration.engle_granger`."""
        from quant import cointegration

        return cointegration.engle_granger(price1, price2, trend, autolag, max_lag)

    @staticmethod
    def engle_granger_both(
        price1: Any,
        price2: Any,
        trend: str = "c",
        autolag: str | None = "aic",
        max_lag: int | None = None,
    ) -> BothDirections:
        """Both directions with one p-value that pays for the choice; see
        :func:`quant.cointegration.engle_granger_both`."""
        from quant import cointegration

        return cointegration.engle_granger_both(price1, price2, trend, autolag, max_lag)

    @staticmethod
    def johansen(frame: pd.DataFrame, det_order: int = 0, k_ar_diff: int = 1) -> JohansenResult:
        """Trace and maximum-eigenvalue tests of n series; see
        :func:`quant.cointegration.johansen`."""
        from quant import cointegration

        return cointegration.johansen(frame, det_order, k_ar_diff)

    @staticmethod
    def half_life(
        spread: Any, confidence: float = 0.95, estimated_ratio: bool | None = None
    ) -> HalfLifeResult:
        """−ln 2 / ln(1 + b) in candles, with interval; see
        :func:`quant.mean_reversion.half_life`."""
        from quant import mean_reversion

        return mean_reversion.half_life(spread, confidence, estimated_ratio)

    @staticmethod
    def ou_fit(
        spread: Any,
        dt: float = 1.0,
        confidence: float = 0.95,
        estimated_ratio: bool | None = None,
    ) -> OUFit:
        """κ, θ, σ of an Ornstein–Uhlenbeck process; see :func:`quant.mean_reversion.ou_fit`."""
        from quant import mean_reversion

        return mean_reversion.ou_fit(spread, dt, confidence, estimated_ratio)

    @staticmethod
    def hurst_exponent(series: Any, confidence: float = 0.95) -> HurstResult:
        """H of the changes' variances, null: ½; see
        :func:`quant.hurst.hurst_exponent`."""
        from quant import hurst

        return hurst.hurst_exponent(series, confidence)

    @staticmethod
    def cusum_test(series: Any) -> CusumResult:
        """CUSUM of a spread, null: a constant mean; see :func:`quant.breaks.cusum_test`."""
        from quant import breaks

        return breaks.cusum_test(series)

    @staticmethod
    def chow_over_time(
        price1: Any, price2: Any, trim: float = 0.15, draws: int = 299, seed: int = 0
    ) -> ChowResult:
        """Chow's F at every candle, null: one hedge ratio throughout; see
        :func:`quant.breaks.chow_over_time`."""
        from quant import breaks

        return breaks.chow_over_time(price1, price2, trim, draws, seed)

    @staticmethod
    def break_date_interval(
        price1: Any, price2: Any, found: ChowResult, confidence: float = 0.95
    ) -> tuple[Any, Any]:
        """First and last candle between which the break lies; see
        :func:`quant.breaks.break_date_interval`."""
        from quant import breaks

        return breaks.break_date_interval(price1, price2, found, confidence)

    @staticmethod
    def granger_causality(
        price1: Any,
        price2: Any,
        lags: int | None = None,
        max_lag: int = 10,
        returns: bool = True,
    ) -> GrangerBoth:
        """Who helps to predict whom, both ways; see :func:`quant.causality.granger_causality`."""
        from quant import causality

        return causality.granger_causality(price1, price2, lags, max_lag, returns)

    @staticmethod
    def fit_copula(price1: Any, price2: Any, returns: bool = True) -> CopulaFit:
        """The best of four copulas and conditional probabilities; see
        :func:`quant.copula.fit_copula`."""
        from quant import copula

        return copula.fit_copula(price1, price2, returns)

    @staticmethod
    def scan_pairs(prices: pd.DataFrame, **options: Any) -> ScanResult:
        """Every pair of `prices` (index time, one column a symbol), ranked; the options are those
        of :func:`quant.scan.scan_pairs`."""
        from quant import scan

        return scan.scan_pairs(prices, **options)

    # ---- end of tests and scans ------------------------------------------------------------

    # ---- backtest --------------------------------------------------------------------------

    @staticmethod
    def backtest_mean_reversion(
        spread: Any, zscore: Any, entry_th: float = 2.0, exit_th: float = 0.0, **options: Any
    ) -> SpreadBacktest:
        """(trades, positions) of the spread's mean reversion, gross; see
        :func:`trading.spread_trades.mean_reversion`."""
        from trading import spread_trades

        return spread_trades.mean_reversion(spread, zscore, entry_th, exit_th, **options)

    # ---- end of backtest -------------------------------------------------------------------
