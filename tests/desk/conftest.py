"""A desk on a real database, stepped by hand: no thread, a clock that the test sets."""

import pytest

from database import Database
from desk import Desk
from notify import Channels
from storage import alert_store, books
from ticks import TickBatch

START_MS = 1_790_000_100_000
FACTS = {
    "btcusdt": {"tick_size": 0.1, "step_size": 0.001, "min_notional": 5.0},
    "ethusdt": {"tick_size": 0.01, "step_size": 0.001, "min_notional": 5.0},
}


class Bench:
    """A database, its desk and a tape that the test writes."""

    def __init__(self, path, **options):
        self.path, self.options = path, {"channels": Channels(), **options}
        self.now_ms = START_MS
        self.ids = {"btcusdt": 0, "ethusdt": 0}
        self.number = 0
        self.database = Database(path)
        self.database.put_all("instrument", FACTS)
        self.desk = self.new_desk()

    def new_desk(self):
        self.desk = Desk(self.database, lambda: self.now_ms, **self.options)
        return self.desk

    def restart(self):
        """As after kill -9: the memory is gone, the file is there."""
        self.database.close()
        self.database = Database(self.path)
        self.new_desk().load()
        return self.desk

    def tape(self, *prints, step_ms=100):
        """Store prints of (symbol, price), each a step after the one before."""
        batch = TickBatch("aggTrade")
        for symbol, price in prints:
            self.now_ms += step_ms
            self.ids[symbol] += 1
            row = (symbol, self.now_ms, price, 1.0, self.ids[symbol], False)
            for column, value in zip(
                ("symbol", "time_ms", "price", "size", "trade_id", "is_buyer_maker"),
                row,
                strict=True,
            ):
                getattr(batch, column).append(value)
        self.database.write(batch)

    def step(self, *prints):
        """Store prints and let the desk see to everything."""
        if prints:
            self.tape(*prints)
        self.desk._due.clear()
        while self.desk.turn():
            pass

    def ask(self, request, /, **body):
        """Ask, let the desk obey, and give its answer."""
        number = self.database.ask(request, body)
        self.step()
        with self.database.snapshot() as snapshot:
            return snapshot.answered(number)

    def read(self, query, *args, **options):
        with self.database.snapshot() as snapshot:
            return snapshot.books(query, *args, **options)

    def account(self, **terms):
        body = {"id": "a1", "name": "paper", "starting_equity": 100_000.0, **terms}
        assert self.ask("desk.account.open", **body)["done"]

    def rule(self, **terms):
        body = {"id": "r1", "metric": "price", "op": "above", "level": 110.0, "symbol": "btcusdt"}
        return self.ask("desk.rule.save", **{**body, **terms})

    def alerts(self):
        return self.read(alert_store.alerts)

    def journal(self):
        return self.read(books.journal, "a1")


@pytest.fixture
def bench(place):
    bench = Bench(place)
    bench.tape(("btcusdt", 100.0), ("ethusdt", 50.0))
    bench.desk.load()
    yield bench
    bench.desk.stop()
    bench.database.close()


@pytest.fixture
def make_bench(place):
    """A desk with options of one's own."""
    made = []

    def make(**options):
        made.append(Bench(place, **options))
        return made[-1]

    yield make
    for bench in made:
        bench.desk.stop()
        bench.database.close()
