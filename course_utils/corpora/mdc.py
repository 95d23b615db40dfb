"""Datasets of the Mozilla Data Collective, where Common Voice is published since October 2025.

They may not be passed on, so everybody fetches them with a key of their own, through the package
``datacollective``. It reads ``MDC_API_KEY``, and ``MDC_API_URL`` for another server, also from a
file ``.env`` in the current folder or above it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from course_utils import files, settings
from course_utils.corpora import CorpusError

_SITE = "https://mozilladatacollective.com"
_KEY_STEPS = (
    f"To get a key: (1) make a free account at {_SITE}; (2) open the page of the dataset and agree "
    "to its terms; (3) make an API key in your profile, and set MDC_API_KEY to it before you "
    "start Jupyter."
)
_UNREACHED = "The Mozilla Data Collective cannot be reached"
_OTHERS = "Or set COURSE_COMMON_VOICE=embedded (speech made on this machine)."


def folder(dataset: str) -> Path:
    """The unpacked release of a dataset; fetched with the user's key when it is not there.

    An interrupted download goes on where it stopped.

    Parameters
    ----------
    dataset : str
        The dataset's id, the last part of its address on the site.

    Raises
    ------
    CorpusError
        No package, no key, a key or an id that the server refuses, no network, a full disk. The
        message says what to do.
    DownloadError
        The archive is damaged, or the disk too small to unpack it.
    """
    # The whole address of its page, as one copies it, ends in the id.
    if _SITE.partition("//")[2] in dataset:
        dataset = re.split(r"[?#]", dataset)[0].rstrip("/").rpartition("/")[2]
    if not re.fullmatch(r"[\w-]+", dataset):
        raise CorpusError(
            f"mdc:{dataset} names no dataset. Use mdc: and the id at the end of its address on "
            f"{_SITE}, such as mdc:cmj8u3p1w0075nxxbe8bedl00."
        )
    for data in (settings.data_folder(), settings.writable_data_folder()):
        if (data / "mdc" / dataset).is_dir():
            return data / "mdc" / dataset
    from course_utils.corpora import download

    place = settings.writable_data_folder() / "mdc"
    archive = _archive(dataset, place / f"{dataset}.download")
    unpacked = download.extract(archive, place / dataset)
    # The clips are there; the archive would take its size a second time.
    archive.unlink(missing_ok=True)
    return unpacked


def _archive(dataset: str, place: Path) -> Path:
    """Download the archive of a dataset into the folder `place`."""
    if settings.offline():
        raise CorpusError(
            f"The dataset {dataset} is not there yet, and COURSE_OFFLINE=1 forbids the network. "
            f"Unset it. {_OTHERS}"
        )
    try:
        import datacollective
        from datacollective import errors
    except ImportError as error:
        raise CorpusError(
            f"The Mozilla Data Collective needs the package datacollective ({error}). Install it "
            f'with: python -m pip install "datacollective>=0.7,<0.8". {_OTHERS}'
        ) from error
    if not os.environ.get("MDC_API_KEY", "").strip():
        raise CorpusError(f"MDC_API_KEY is not set. {_KEY_STEPS} {_OTHERS}")
    import requests

    from course_utils.corpora import network

    address = os.environ.get("MDC_API_URL", "").strip() or _SITE
    print(f"Fetching the dataset {dataset} of the Mozilla Data Collective to {place}")
    try:
        place.mkdir(parents=True, exist_ok=True)
        return Path(datacollective.download_dataset(dataset, download_directory=str(place)))
    except errors.AuthenticationError as error:
        raise CorpusError(
            f"The Mozilla Data Collective does not accept the key in MDC_API_KEY. {_KEY_STEPS}"
        ) from error
    except FileNotFoundError as error:  # also a dataset that was removed
        raise CorpusError(
            f"The Mozilla Data Collective has no dataset {dataset} ({error}). Copy the id from "
            f"the address of the dataset's page; {_SITE} lists newer releases."
        ) from error
    except PermissionError as error:
        if error.errno is not None or "not writable" in str(error):
            raise _disk_error(error, place) from error
        raise CorpusError(
            f"The Mozilla Data Collective does not give out {dataset} ({error}). Open "
            f"{_SITE}/datasets/{dataset}, agree to its terms, and run this again."
        ) from error
    except errors.RateLimitError as error:
        raise CorpusError(
            "The Mozilla Data Collective says that you have asked too often. Run this again "
            f"later. {_OTHERS}"
        ) from error
    except errors.DownloadError as error:
        cause = error.__cause__
        if isinstance(cause, KeyboardInterrupt):  # the package takes the stop button for a fault
            raise cause from None
        if isinstance(cause, OSError) and files.is_full(cause):
            raise _disk_error(cause, place) from error
        if isinstance(cause, OSError | ValueError) and (wrong := network.explain(cause, address)):
            raise CorpusError(f"{_UNREACHED}: {wrong.text} What has arrived is kept.") from error
        raise CorpusError(
            f"The download of {dataset} broke off ({cause}): {error.total_downloaded_bytes} have "
            "arrived and are kept. Run this again: it goes on from there."
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        # A wrong certificate or proxy is also a plain OSError, or a ValueError.
        if wrong := network.explain(error, address):
            raise CorpusError(f"{_UNREACHED}: {wrong.text} {_OTHERS}") from error
        if isinstance(error, requests.HTTPError):
            raise CorpusError(f"{_UNREACHED} ({error}). {_OTHERS}") from error
        if isinstance(error, requests.RequestException):
            raise CorpusError(
                f"{_UNREACHED}{network.through(address)} ({error}). Check that this machine is "
                f"online. {_OTHERS}"
            ) from error
        if isinstance(error, OSError):
            raise _disk_error(error, place) from error
        # An answer that the package does not understand.
        raise CorpusError(
            f"The Mozilla Data Collective answered something unexpected ({error}). Is there a "
            f"newer version of the package datacollective? {_OTHERS}"
        ) from error


def _disk_error(error: OSError, place: Path) -> CorpusError:
    return CorpusError(files.disk_error(error, place, "What has arrived is kept."))
