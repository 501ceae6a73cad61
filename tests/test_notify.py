"""Webhooks and e-mail against real local servers; private addresses refused; secrets kept."""

import json
import logging
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import notify
from database import Database
from desk.courier import Courier
from errors import BadInput
from notify import Channels, Mailbox, Message, Webhook, is_public, mail, post
from storage import alert_store

SECRET = "T0pS3cretToken"
MESSAGE = Message("Price of BTCUSDT above 100", "now 101 <b>&", {"alert_id": 7, "value": 101.0})


class Receiver(HTTPServer):
    """An HTTP server on port 0 that answers with the statuses it was given, then with 200."""

    def __init__(self, *statuses, delay_s=0.0):
        super().__init__(("127.0.0.1", 0), _Hook)
        self.statuses, self.delay_s = list(statuses), delay_s
        self.got = []
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/hook/{SECRET}?a=1"

    def close(self):
        self.shutdown()
        self.server_close()
        self.thread.join()


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, json.loads(body)))
        time.sleep(self.server.delay_s)
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", self.server.url + "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def receive():
    made = []

    def make(*statuses, **options):
        made.append(Receiver(*statuses, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()


def hook(server, **terms):
    return Webhook(server.url, **{"allow_private": True, **terms})


@pytest.mark.parametrize(
    ("format_", "terms", "body"),
    [
        ("generic", {}, {"subject": MESSAGE.subject, "text": MESSAGE.text, **MESSAGE.values}),
        ("slack", {}, {"text": "Price of BTCUSDT above 100\nnow 101 &lt;b&gt;&amp;"}),
        (
            "discord",
            {},
            {
                "content": "Price of BTCUSDT above 100\nnow 101 <b>&",
                "allowed_mentions": {"parse": []},
            },
        ),
        (
            "telegram",
            {"chat_id": "42"},
            {"chat_id": "42", "text": "Price of BTCUSDT above 100\nnow 101 <b>&"},
        ),
    ],
)
def test_each_receiver_gets_the_json_it_expects(receive, format_, terms, body):
    server = receive()
    outcome = post(MESSAGE, hook(server, format=format_, **terms))
    assert outcome.ok
    assert server.got == [(f"/hook/{SECRET}?a=1", body)]


def test_a_redirect_is_not_followed(receive):
    server = receive(302)
    outcome = post(MESSAGE, hook(server))
    assert (outcome.ok, outcome.retry) == (False, False)
    assert "not followed" in outcome.detail
    assert len(server.got) == 1


@pytest.mark.parametrize(("status", "again"), [(500, True), (429, True), (404, False)])
def test_a_refusal_says_whether_to_try_again(receive, status, again):
    outcome = post(MESSAGE, hook(receive(status)))
    assert (outcome.ok, outcome.retry) == (False, again)
    assert str(status) in outcome.detail


def test_a_receiver_that_is_slow_or_gone_is_tried_again(receive):
    server = receive(delay_s=1.0)
    assert "did not answer" in post(MESSAGE, hook(server), timeout_s=0.2).detail
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    gone = Webhook(f"http://127.0.0.1:{port}/{SECRET}", allow_private=True)
    outcome = post(MESSAGE, gone)
    assert outcome.retry
    assert "could not be reached" in outcome.detail


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "fe80::1", "fc00::1", "::",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "fe80::1%eth0",
    ],
)  # fmt: skip
def test_addresses_of_ones_own_network_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_addresses_of_the_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1"])
def test_a_private_target_is_refused_before_anything_is_sent(receive, host):
    server = receive()
    outcome = post(MESSAGE, Webhook(f"http://{host}:{server.server_address[1]}/{SECRET}"))
    assert not outcome.ok
    assert "not a public address" in outcome.detail or "could not be resolved" in outcome.detail
    assert server.got == []


def test_the_name_is_resolved_once_and_the_connection_goes_to_what_was_checked(
    receive, monkeypatch
):
    server, asked = receive(), []

    def resolve(host, port, *args, **kwargs):
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    url = f"http://hooks.example.com:{server.server_address[1]}/{SECRET}"
    real = socket.create_connection
    reached = []
    monkeypatch.setattr(notify.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(
        notify.socket,
        "create_connection",
        lambda address, timeout: (reached.append(address[0]), _connect(address, timeout))[1],
    )

    def _connect(address, timeout):
        plain = socket.socket()
        plain.settimeout(timeout)
        plain.connect(address)
        return plain

    assert post(MESSAGE, Webhook(url, allow_private=True)).ok
    assert asked == ["hooks.example.com"]
    assert reached == ["127.0.0.1"]
    assert real is not None


def test_one_private_address_among_several_is_enough_to_refuse(monkeypatch):
    def resolve(host, port, *args, **kwargs):
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in ("8.8.8.8", "10.0.0.1")
        ]

    monkeypatch.setattr(notify.socket, "getaddrinfo", resolve)
    assert "10.0.0.1" in post(MESSAGE, Webhook("https://hooks.example.com/x")).detail


def test_secrets_are_in_no_repr_no_result_and_no_log(receive, caplog):
    caplog.set_level(logging.DEBUG)
    webhook = hook(receive(500))
    mailbox = Mailbox("127.0.0.1", 1, "me", SECRET, "a@b", "c@d")
    texts = [
        repr(webhook), repr(mailbox), repr(Channels(webhook, mailbox)),
        Channels(webhook, mailbox).describe("webhook"),
        Channels(webhook, mailbox).describe("email"),
        post(MESSAGE, webhook).detail, mail(MESSAGE, mailbox, timeout_s=1).detail,
        post(MESSAGE, Webhook(f"http://nohost.invalid/{SECRET}")).detail, caplog.text,
    ]  # fmt: skip
    with pytest.raises(BadInput) as refused:
        Webhook(f"gopher://example.com/{SECRET}")
    with pytest.raises(BadInput) as named:
        Webhook(f"https://user:{SECRET}@example.com/")
    texts += [str(refused.value), str(named.value)]
    assert not [text for text in texts if SECRET in text]


# -- e-mail ----------------------------------------------------------------------------------


class _Smtp(socketserver.StreamRequestHandler):
    def handle(self):
        self.say("220 here")
        for line in self.rfile:
            word = line.decode().strip()
            self.server.lines.append(word)
            if word.upper().startswith("QUIT"):
                self.say("221 bye")
                return
            if word.upper() == "DATA":
                self.say("354 go on")
                while (text := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    self.server.letter.append(text)
                self.say(self.server.verdict)
            elif word.upper().startswith("EHLO"):
                self.wfile.write(b"250-here\r\n250 AUTH PLAIN\r\n")
            elif word.upper().startswith("AUTH"):
                self.say("235 welcome")
            else:
                self.say("250 fine")

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")


@pytest.fixture
def post_office():
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp)
    server.daemon_threads = True
    server.lines, server.letter, server.verdict = [], [], "250 taken"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def mailbox(server, **terms):
    base = {"user": "me", "password": SECRET, "sender": "desk@here.test", "to": "you@there.test"}
    return Mailbox("127.0.0.1", server.server_address[1], **{**base, **terms})


def test_a_letter_arrives_with_its_values(post_office):
    assert mail(MESSAGE, mailbox(post_office)).ok
    letter = "\n".join(post_office.letter)
    assert "Subject: Price of BTCUSDT above 100" in letter
    assert "To: you@there.test" in letter
    assert "alert_id: 7" in letter


def test_a_full_mailbox_is_tried_again_and_an_unknown_one_is_not(post_office):
    post_office.verdict = "452 full"
    assert mail(MESSAGE, mailbox(post_office)).retry
    post_office.verdict = "550 who"
    outcome = mail(MESSAGE, mailbox(post_office))
    assert (outcome.ok, outcome.retry) == (False, False)


def test_a_password_does_not_travel_without_tls(post_office, monkeypatch):
    monkeypatch.setattr(notify, "_is_here", lambda host: False)
    outcome = mail(MESSAGE, mailbox(post_office))
    assert "password was not sent" in outcome.detail
    assert not [line for line in post_office.lines if line.upper().startswith("AUTH")]


def test_a_line_break_in_an_address_is_refused():
    with pytest.raises(BadInput):
        Mailbox("here", to="a@b\nBcc: everyone@x")


# -- the courier -----------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path):
    with Database(tmp_path / "c.db") as database:
        yield database


def queue(database):
    body = {"subject": "s", "text": "t", "values": {"alert_id": 1}}
    with database.transaction() as con:
        return alert_store.add_delivery(con, 1, "webhook", body, 0)


def deliveries(database):
    with database.snapshot() as snapshot:
        return (
            snapshot.books(alert_store.deliveries),
            snapshot.books(alert_store.attempts)[["number", "ok"]].values.tolist(),
        )


def test_every_attempt_is_recorded_and_retries_end(database, receive):
    server = receive(503, 503, 200)
    now = [0]
    courier = Courier(database, Channels(hook(server)), retry_s=(1.0, 2.0), wall_ms=lambda: now[0])
    queue(database)
    for _ in range(6):
        courier.send_due()
        now[0] += 1_000
    (delivery,), attempts = deliveries(database)
    assert delivery.state == "sent"
    assert attempts == [[3, 1], [2, 0], [1, 0]]
    assert len(server.got) == 3


def test_a_delivery_fails_after_its_last_attempt(database, receive):
    server = receive(503, 503, 503, 503)
    now = [0]
    courier = Courier(database, Channels(hook(server)), retry_s=(1.0,), wall_ms=lambda: now[0])
    queue(database)
    for _ in range(5):
        courier.send_due()
        now[0] += 5_000
    (delivery,), attempts = deliveries(database)
    assert (delivery.state, len(attempts), len(server.got)) == ("failed", 2, 2)


def test_what_waits_is_sent_by_the_next_process(database, receive):
    server = receive()
    queue(database)
    courier = Courier(database, Channels(hook(server)))
    courier.start()
    deadline = time.monotonic() + 5
    while not server.got and time.monotonic() < deadline:
        time.sleep(0.02)
    courier.stop(3)
    (delivery,), _ = deliveries(database)
    assert delivery.state == "sent"
    assert len(server.got) == 1
