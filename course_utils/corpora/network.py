"""What is wrong between this machine and a server: certificates and proxies, each by its name.

Proxies and certificates are set by environment variables, often by somebody else. What requests
says of them names neither the variable nor the proxy, and shows parts of a password.
"""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import requests
import urllib3

#: Variables that name a file, or a folder, of certificates; requests takes the first.
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_SOCKS = ("socks4", "socks4a", "socks5", "socks5h")
#: What ends a host, or begins another part of an address, if a password holds it.
_SPECIAL = "@#/?[]\\ "


class Trouble(NamedTuple):
    """Why a server was not reached."""

    what: str  # a clause for the middle of a sentence
    remedy: str  # sentences
    lasting: bool  # another try will not help

    @property
    def text(self) -> str:
        """All of it, as sentences; the first begins in the middle of one."""
        return f"{self.what}. {self.remedy}"


class _Proxy(NamedTuple):
    address: str  # as it was set; never shown, it may hold a password
    variable: str  # "" where the system has it from elsewhere

    @property
    def _parts(self) -> tuple[str, str, str]:
        """Scheme, user and password, and the rest, however odd the password is."""
        found = re.fullmatch(r"([A-Za-z][\w+.-]*://)?(?:(.*)@)?(.*)", self.address, re.DOTALL)
        return found[1] or "", found[2] or "", found[3]

    @property
    def name(self) -> str:
        scheme, _, rest = self._parts
        where = f" ({self.variable})" if self.variable else ""
        return f"the proxy {scheme}{rest.rstrip('/')}{where}"

    @property
    def credentials(self) -> str:
        return self._parts[1]

    @property
    def setting(self) -> str:
        return self.variable or "the proxy in the settings of this system"


def explain(error: BaseException, url: str) -> Trouble | None:
    """What certificates or a proxy have to do with an error of requests; None if it is not they.

    Parameters
    ----------
    error : exception
        What requests raised; for some wrong settings that is a plain OSError or ValueError.
    url : str
        What was asked for.
    """
    asked = getattr(getattr(error, "request", None), "url", None) or url  # after a redirect
    if trouble := _bundle_trouble(error):
        return trouble
    if (proxy := _proxy(asked)) and (trouble := _proxy_trouble(error, proxy)):
        return trouble
    return _certificate_trouble(error, asked)


def through(url: str) -> str:
    """``" through the proxy ..."`` if one is set for this address, else ``""``."""
    proxy = _proxy(url)
    return f" through {proxy.name}" if proxy else ""


def refused_by_proxy(status: int, reason: str, url: str) -> Trouble | None:
    """What it means if a proxy itself answers with this status; None without a proxy."""
    proxy = _proxy(url)
    return _refusal(proxy, status, f"{status} {reason}") if proxy else None


def _proxy(url: str) -> _Proxy | None:
    """The proxy that requests takes for an address."""
    try:
        address = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    except ValueError:  # not an address
        return None
    if not address:
        return None
    scheme = urlsplit(url).scheme
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    variables = [name for name in names if os.environ.get(name) == address]
    return _Proxy(address, variables[-1] if variables else "")


def _bundle_trouble(error: BaseException) -> Trouble | None:
    """Certificates that requests was told to use, and that are not there or none."""
    variable = next((name for name in _BUNDLES if os.environ.get(name)), None)
    is_about_them = isinstance(error, requests.exceptions.SSLError) or (
        isinstance(error, OSError) and "certificate bundle" in str(error)
    )
    if not variable or not is_about_them:
        return None
    path = Path(os.environ[variable])
    remedy = f"Unset {variable}, or set it to a file of certificates in PEM format."
    if not path.exists():
        return Trouble(f"{variable} names certificates in {path}, which is not there", remedy, True)
    try:
        if path.is_file():
            ssl.create_default_context(cafile=path)
        elif not any(path.iterdir()):
            raise OSError("the folder is empty")
    except OSError as reason:  # ssl.SSLError is one
        detail = str(reason).split(" (_ssl")[0]
        return Trouble(
            f"{variable} names {path}, which holds no certificates that can be read ({detail})",
            remedy, True,
        )
    return None


def _certificate_trouble(error: BaseException, url: str) -> Trouble | None:
    """A server whose certificate is not trusted."""
    failure = next(
        (each for each in _causes(error) if isinstance(each, ssl.SSLCertVerificationError)), None
    )
    if failure is None:
        return None
    variable = next((name for name in _BUNDLES if os.environ.get(name)), None)
    trusted = f" by those of {variable}, {os.environ[variable]}" if variable else ""
    where = f"{urlsplit(url).hostname}{through(url)}"
    what = f"the certificate of {where} is not accepted{trusted}: {failure.verify_message}"
    remedy = (
        "Some networks and virus scanners put a certificate of their own in its place: set "
        f"{_BUNDLES[0]} to the file of theirs that your institution gives out"
        f"{f', or unset {variable}' if variable else ''}."
    )
    if "expired" in failure.verify_message or "not yet valid" in failure.verify_message:
        remedy = f"Is the clock of this machine right? If it is: {remedy}"
    return Trouble(what, remedy, True)


def _proxy_trouble(error: BaseException, proxy: _Proxy) -> Trouble | None:
    if isinstance(error, requests.exceptions.InvalidSchema) and "SOCKS" in str(error):
        return Trouble(
            f"{proxy.name} speaks SOCKS, and the package for that is not installed",
            f"Install it with: python -m pip install pysocks. Or unset {proxy.setting}.", True,
        )
    special = dict.fromkeys(sign for sign in proxy.credentials if sign in _SPECIAL)
    malformed = isinstance(error, ValueError) and not _is_address(proxy.address)
    is_proxy = isinstance(error, requests.exceptions.ProxyError)
    if malformed or (is_proxy and set(special) - {"@", " "}):
        return Trouble(
            f"the address of {proxy.name} cannot be read",
            "Write it as http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT." + _escaped(special),
            True,
        )
    if not is_proxy:
        return None
    text = str(error)
    answer = re.search(r"Tunnel connection failed: ((\d+)[^')\"]*)", text)
    if answer:
        return _refusal(proxy, int(answer[2]), answer[1].strip())
    if proxy.address.lower().startswith("https://") and "WRONG_VERSION_NUMBER" in text:
        return Trouble(
            f"{proxy.name} does not speak HTTPS itself",
            f"Write http:// in place of https:// at the start of {proxy.setting}.", True,
        )
    causes = [each for each in _causes(error) if not isinstance(each, requests.RequestException)]
    detail = str(causes[-1]).rpartition(": ")[2] if causes else "no answer"
    return Trouble(
        f"{proxy.name} cannot be reached: {detail}",
        f"Check its address, or unset {proxy.setting} if this network needs no proxy."
        + _escaped(special),
        False,
    )


def _refusal(proxy: _Proxy, status: int, answer: str) -> Trouble:
    special = dict.fromkeys(sign for sign in proxy.credentials if sign in _SPECIAL)
    if status == 407:
        how = "does not accept the user name and password" if proxy.credentials else (
            "wants a user name and a password"
        )
        return Trouble(
            f"{proxy.name} {how} (it answered {answer})",
            f"Set {proxy.setting} to http://USER:PASSWORD@HOST:PORT." + _escaped(special), True,
        )
    return Trouble(
        f"{proxy.name} refuses the connection (it answered {answer})",
        "Ask those who run it, or use another network.", 400 <= status < 500 and status != 429,
    )


def _escaped(special: dict[str, None]) -> str:
    """How to write the signs of a password that mean something else in an address."""
    if not special:
        return ""
    names = [f"{'space' if sign == ' ' else sign} as {quote(sign, safe='')}" for sign in special]
    return f" Its user name or password holds signs to be written otherwise: {', '.join(names)}."


def _is_address(proxy: str) -> bool:
    try:
        urlsplit(proxy)  # requests asks it for the password
        parts = urllib3.util.parse_url(requests.utils.prepend_scheme_if_needed(proxy, "http"))
    except ValueError:
        return False
    return bool(parts.host) and parts.scheme in ("http", "https", *_SOCKS)


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what it was made of, outermost first."""
    found: list[BaseException] = []
    todo = [error]
    while todo:
        each = todo.pop(0)
        if isinstance(each, BaseException) and each not in found:
            found.append(each)
            todo += [each.__cause__, *(getattr(each, "args", ())), getattr(each, "reason", None)]
            todo.append(getattr(each, "original_error", None))
    return found
