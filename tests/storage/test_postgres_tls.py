"""TLS to a real server: whose certificate is believed, and what is said where it is not."""

from urllib.parse import quote

import pytest
import trustme

from database import Database
from errors import DatabaseError
from tests.batches import batch
from tests.conftest import start_server


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def server(authority):
    """A server that answers nobody without TLS; its certificate names localhost alone."""
    running = start_server(authority.issue_cert("localhost").private_key_and_cert_chain_pem.bytes())
    yield running
    running.close()


@pytest.fixture
def roots(authority, tmp_path):
    """Files with the authority's certificate, and with that of another one."""
    files = {"right": tmp_path / "ca.pem", "wrong": tmp_path / "another.pem"}
    authority.cert_pem.write_to_path(str(files["right"]))
    trustme.CA().cert_pem.write_to_path(str(files["wrong"]))
    return files


def url(server, host="localhost", **options):
    address = server.url("public").replace("127.0.0.1", host)
    return address + "?" + "&".join(f"{name}={quote(str(o))}" for name, o in options.items())


def test_the_whole_check_passes_and_everything_goes_over_tls(server, roots):
    place = url(server, sslmode="verify-full", sslrootcert=roots["right"], schema="private")
    with Database(place) as writer, Database(place, read_only=True) as reader:
        seen = reader.wait_for_change(-1, 5.0)
        assert writer.write(batch([1, 2, 3])).inserted == 3
        assert reader.wait_for_change(seen, 10.0) == seen + 1
        with reader.snapshot() as snapshot:
            assert snapshot.count("ticks") == 3
        # The writer, the readers and the connection that listens: not one in the clear.
        with writer.transaction() as con:
            found = con.execute(
                "SELECT ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                "WHERE application_name = 'crypto-analytics'"
            ).fetchall()
    assert len(found) >= 3
    assert {(bool(ssl), version[:5]) for ssl, version in found} == {(True, "TLSv1")}


@pytest.mark.parametrize(
    ("host", "root", "mode", "said"),
    [
        ("localhost", "wrong", "verify-full", "certificate is not signed by .* sslrootcert"),
        ("127.0.0.1", "right", "verify-full", "certificate is for another host"),
        ("localhost", "missing", "verify-full", "sslrootcert cannot be read"),
    ],
)
def test_a_certificate_that_is_not_believed_is_said_in_a_sentence(
    server, roots, tmp_path, host, root, mode, said
):
    file = roots.get(root, tmp_path / "missing.pem")
    with pytest.raises(DatabaseError, match=said) as caught:
        Database(url(server, host, sslmode=mode, sslrootcert=file))
    assert "p@ss" not in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_a_server_that_wants_tls_and_a_client_that_does_not_want_it(server):
    with pytest.raises(DatabaseError, match="sslmode"):
        Database(url(server, sslmode="disable"))


def test_a_server_without_tls_is_not_taken_where_it_is_asked_for(postgres, roots):
    with pytest.raises(DatabaseError, match="does not speak TLS"):
        Database(url(postgres, sslmode="verify-full", sslrootcert=roots["right"]))
