"""Certificates and proxies that are set wrongly: each is named, and no password is shown."""

import shutil
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from course_utils.corpora import download, mini_librispeech, network
from course_utils.corpora.download import DownloadError, fetch

URL = "https://corpora.invalid/speech.zip"
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="makes the certificates")


class Handler(BaseHTTPRequestHandler):
    """A proxy, or a server, that answers everything with one status."""

    def do_CONNECT(self):
        self.server.asked.append(self.headers.get("Proxy-Authorization"))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_CONNECT

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, status=200):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.asked = status, []
        self.place = f"127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass  # the client hung up

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *arguments):
        self.shutdown()
        self.thread.join()
        self.server_close()


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.delenv("COURSE_OFFLINE", raising=False)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "BACKOFF", 0.001)


@pytest.fixture
def proxy():
    with Server(407) as server:
        yield server


@pytest.fixture
def told(tmp_path, capsys):
    """What a student is told, who must not see a password."""

    def told(url=URL, **options):
        with pytest.raises(DownloadError) as error:
            fetch(url, tmp_path / "speech.zip", sha256=None, size=9, **{"retries": 1} | options)
        shown = str(error.value) + capsys.readouterr().out
        assert "secret" not in shown and "p@ss" not in shown
        return str(error.value)

    return told


# --- proxies ------------------------------------------------------------------------------------


def test_a_proxy_that_wants_a_password(proxy, told, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.place}")
    assert (
        f"the proxy http://{proxy.place} (HTTPS_PROXY) wants a user name and a password (it "
        "answered 407 Proxy Authentication Required). Set HTTPS_PROXY to http://USER:PASSWORD@"
    ) in told()
    assert len(proxy.asked) == 1  # asking again would not help


def test_a_proxy_that_does_not_accept_a_password(proxy, told, monkeypatch):
    monkeypatch.setenv("https_proxy", f"http://me:secret@{proxy.place}")
    message = told()
    assert f"the proxy http://{proxy.place} (https_proxy) does not accept the user name" in message
    assert "signs" not in message


@pytest.mark.parametrize("password", ["p@ss", "p@s@s"])
def test_a_password_with_an_at_sign(proxy, told, monkeypatch, password):
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{password}@{proxy.place}")
    message = told()
    assert f"the proxy http://{proxy.place} (HTTPS_PROXY) does not accept the user name" in message
    assert "Its user name or password holds signs to be written otherwise: @ as %40." in message


@pytest.mark.parametrize(
    "password, signs",
    [
        ("se#cret", "# as %23"), ("se/cret", "/ as %2F"), ("se?cret", "? as %3F"),
        ("p@ss#secret", "@ as %40, # as %23"), ("se[cret", "[ as %5B"),
    ],
)
def test_a_password_that_breaks_the_address(proxy, told, monkeypatch, password, signs):
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{password}@{proxy.place}")
    message = told()
    assert f"the address of the proxy http://{proxy.place} (HTTPS_PROXY) cannot be read" in message
    assert f"signs to be written otherwise: {signs}." in message
    assert proxy.asked == []


@pytest.mark.parametrize("address", ["http://", "http://127.0.0.1:port", "ftp://127.0.0.1:21"])
def test_an_address_that_is_none(told, monkeypatch, address):
    monkeypatch.setenv("ALL_PROXY", address)
    message = told()
    assert "(ALL_PROXY) cannot be read. Write it as http://HOST:PORT" in message


@pytest.mark.parametrize("status", [403, 503])
def test_a_proxy_that_refuses(proxy, told, monkeypatch, status):
    proxy.status = status
    monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.place}")
    message = told()
    assert f"the proxy http://{proxy.place} (HTTPS_PROXY) refuses the connection" in message
    assert f"it answered {status} " in message
    assert len(proxy.asked) == (1 if status == 403 else 2)  # the other may pass


def test_a_proxy_that_is_not_there(told, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        place = f"127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("HTTPS_PROXY", f"http://{place}")
    message = told()
    assert f"the proxy http://{place} (HTTPS_PROXY) cannot be reached: " in message
    assert "refused" in message and "(2 tries)" in message
    assert "Check its address, or unset HTTPS_PROXY if this network needs no proxy" in message
    assert "that this machine is online" not in message


def test_a_proxy_whose_name_is_unknown(told, monkeypatch):
    def unknown(*arguments, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
    assert "the proxy http://proxy.invalid:3128 (HTTPS_PROXY) cannot be reached: " in told()


def test_a_proxy_over_http_answers_in_the_place_of_the_server(proxy, told, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://{proxy.place}")
    url = "http://corpora.invalid/speech.zip"
    assert f"the proxy http://{proxy.place} (http_proxy) wants a user name" in told(url)
    proxy.status = 403
    assert f"the server answered 403 Forbidden through the proxy http://{proxy.place}" in told(url)


def test_an_https_proxy_that_speaks_only_http(proxy, told, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"https://{proxy.place}")
    message = told()
    assert f"the proxy https://{proxy.place} (HTTPS_PROXY) does not speak HTTPS itself" in message
    assert "Write http:// in place of https://" in message


def test_a_socks_proxy_without_its_package(told, monkeypatch):
    pytest.importorskip("requests")
    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", no_socks)
    monkeypatch.setenv("ALL_PROXY", "socks5h://me:secret@127.0.0.1:1080")
    message = told()
    assert "the proxy socks5h://127.0.0.1:1080 (ALL_PROXY) speaks SOCKS" in message
    assert "python -m pip install pysocks" in message


def no_socks(*arguments, **options):
    from requests.exceptions import InvalidSchema

    raise InvalidSchema("Missing dependencies for SOCKS support.")


def test_a_proxy_that_is_none(told, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        def answer():
            for _ in range(2):
                connection, _ = server.accept()
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")
                connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        place = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("HTTPS_PROXY", f"http://{place}")
        message = told()
        thread.join()
    assert f"through the proxy http://{place} (HTTPS_PROXY)" in message


def test_the_right_proxy_is_named(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://one:1")
    monkeypatch.setenv("ALL_PROXY", "http://two:2")
    assert network.through("http://a.invalid/x") == " through the proxy http://one:1 (HTTP_PROXY)"
    assert network.through("https://a.invalid/") == " through the proxy http://two:2 (ALL_PROXY)"
    monkeypatch.setenv("NO_PROXY", "a.invalid")
    assert network.through("https://a.invalid/") == ""


def test_an_error_that_has_nothing_to_do_with_it(monkeypatch):
    for error in (OSError(28, "No space left on device"), ValueError("no JSON")):
        assert network.explain(error, URL) is None
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/not/there.pem")
        assert network.explain(error, URL) is None


# --- certificates -------------------------------------------------------------------------------


def test_certificates_that_are_not_there(told, tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "our.pem"))
    message = told()
    assert f"REQUESTS_CA_BUNDLE names certificates in {tmp_path / 'our.pem'}, which is" in message
    assert "Unset REQUESTS_CA_BUNDLE, or set it to a file of certificates" in message
    assert "cannot be written" not in message


@pytest.mark.parametrize("content", [b"", b"hello", b"\0\xff", b"-----BEGIN CERTIFICATE-----\nAA"])
def test_certificates_that_are_none(told, tmp_path, monkeypatch, content):
    path = tmp_path / "our.pem"
    path.write_bytes(content)
    monkeypatch.setenv("CURL_CA_BUNDLE", str(path))
    with Server() as server:
        message = told(f"https://{server.place}/speech.zip")
    assert f"CURL_CA_BUNDLE names {path}, which holds no certificates that can be read" in message


def certificate(folder, name):
    """A certificate that vouches for itself, as those of some networks."""
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out cert.pem "
        f"-subj /CN=test -addext subjectAltName={name}"
    )
    done = subprocess.run(command.split(), cwd=folder, capture_output=True)
    if done.returncode:
        pytest.skip(f"openssl is another one: {done.stderr.decode(errors='replace')[-200:]}")
    return folder / "cert.pem", folder / "key.pem"


@needs_openssl
@pytest.mark.parametrize(
    "name, trusted, reason",
    [("IP:127.0.0.1", False, "self-signed"), ("DNS:elsewhere", True, "not valid for '127.0.0.1'")],
)
def test_a_certificate_that_is_not_accepted(told, tmp_path, monkeypatch, name, trusted, reason):
    cert, key = certificate(tmp_path, name)
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cert))
    with Server() as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        message = told(f"https://{server.place}/speech.zip")
    assert "the certificate of 127.0.0.1 is not accepted" in message
    assert reason.replace("-", " ") in message.replace("-", " ")
    assert "set REQUESTS_CA_BUNDLE to the file" in message
    assert (f"by those of REQUESTS_CA_BUNDLE, {cert}" in message) == trusted


# --- where else it is met -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, value", [("REQUESTS_CA_BUNDLE", "/not/there.pem"), ("HTTPS_PROXY", "http://me:a#b@c:1")]
)
def test_asking_for_a_size_leaves_it_to_the_download(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    archive = mini_librispeech.ARCHIVES["dev-clean-2"]
    assert mini_librispeech._size(archive) == archive.size
