"""JupyterLab in a real browser, for tests: a server on the loopback, and pages to look at."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
#: A notebook's cells all stand in the page, whatever the window shows.
SETTINGS = {"notebook-extension/tracker": '{"windowingMode": "none", "recordTiming": false}'}


def missing() -> str:
    """What this computer lacks for a browser test; "" if nothing."""
    if CHROMIUM is None:
        return "there is no chromium (apt-get install chromium)"
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "the package playwright is not there (pip install -e '.[browser]')"
    return ""


class Lab:
    """A server of JupyterLab for one folder.

    Parameters
    ----------
    folder : Path
        What it serves; settings lie beside it.
    variables : dict of str to str
        Added to the environment of the kernels.
    """

    def __init__(self, folder: Path, variables: dict[str, str]):
        self.folder, self.token = folder, secrets.token_hex(8)
        self.process = None
        private = folder.parent / "jupyter"
        for name, text in SETTINGS.items():
            file = private / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.variables = os.environ | variables
        for name in ("config", "data", "runtime"):
            self.variables[f"JUPYTER_{name.upper()}_DIR"] = str(private / name)
        self.variables["JUPYTERLAB_SETTINGS_DIR"] = str(private / "settings")
        self.log = private / "server.log"

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = {
            "ServerApp.ip": "127.0.0.1", "ServerApp.port": self.port, "ServerApp.port_retries": 0,
            "IdentityProvider.token": self.token, "ServerApp.root_dir": self.folder,
            "ServerApp.open_browser": False, "ServerApp.allow_root": True,
            "LabApp.expose_app_in_browser": True, "LabApp.news_url": None,
            "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        }  # fmt: skip
        command = [sys.executable, "-m", "jupyter", "lab"]
        command += [f"--{name}={value}" for name, value in options.items()]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.variables, stdout=log, stderr=log)
        for _ in range(240):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url()}api/status?token={self.token}", timeout=2)
                return
            time.sleep(0.25)
        raise RuntimeError(f"JupyterLab does not answer: {self.log.read_text()[-2000:]}")

    def stop(self) -> None:
        """End the server and its kernels."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def url(self, notebook: str = "") -> str:
        """The address of a notebook, or of the server."""
        base = f"http://127.0.0.1:{self.port}/"
        return f"{base}lab/tree/{notebook}?token={self.token}&reset" if notebook else base


class Page:
    """One notebook in the browser.

    Parameters
    ----------
    page : playwright's Page
    lab : Lab
    """

    def __init__(self, page, lab: Lab):
        self.page, self.lab = page, lab

    def open(self, notebook: str) -> None:
        """Open a notebook and wait for its cells and its kernel."""
        self.page.goto(self.lab.url(notebook), wait_until="domcontentloaded")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        self.page.wait_for_function(
            "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel",
            timeout=60_000,
        )

    def command(self, name: str) -> None:
        """Run a command of JupyterLab; it returns at once."""
        self.page.evaluate(f"void window.jupyterapp.commands.execute('{name}').catch(() => 0)")

    def run_all(self, seconds: float = 150) -> None:
        """Run all cells and wait for the end, or the first error."""
        self.command("notebook:run-all-cells")
        self.page.wait_for_timeout(500)
        self.wait(seconds)

    def wait(self, seconds: float = 60) -> None:
        """Wait until no cell is waiting or running."""
        self.page.wait_for_function(
            "![...document.querySelectorAll('.jp-InputPrompt')]"
            ".some(prompt => prompt.textContent.includes('*'))",
            timeout=1000 * seconds,
        )
        self.page.wait_for_timeout(300)

    def run(self, index: int, seconds: float = 60) -> None:
        """Run the code cell of this number, from 0 among all cells."""
        self.page.evaluate(
            f"window.jupyterapp.shell.currentWidget.content.activeCellIndex = {index}"
        )
        self.command("notebook:run-cell")
        self.page.wait_for_timeout(300)
        self.wait(seconds)

    def output(self, index: int):
        """What stands under a cell, as playwright's locator."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-Cell-outputArea")

    def restart_kernel(self) -> None:
        """Restart the kernel without a question."""
        self.page.evaluate(
            "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        self.page.wait_for_timeout(2_500)

    def interrupt(self) -> None:
        """Press the stop button."""
        self.command("notebook:interrupt-kernel")
        self.wait()

    def dark(self) -> None:
        """Change to the dark theme."""
        self.page.evaluate(
            "window.jupyterapp.commands.execute('apputils:change-theme', "
            "{theme: 'JupyterLab Dark'})"
        )
        self.page.wait_for_timeout(1_500)

    def complaints(self) -> list[str]:
        """What axe-core finds serious or critical in the outputs, a line each."""
        return complaints_about(self.page, ".jp-Cell-outputArea")

    def in_view(self, locator) -> bool:
        """Whether an element can be seen without scrolling."""
        box, size = locator.bounding_box(), self.page.viewport_size
        return box is not None and -5 <= box["y"] < size["height"]


def complaints_about(page, place: str) -> list[str]:
    """What axe-core finds serious or critical inside a place of a page, a line each."""
    import axe_playwright_python

    script = Path(axe_playwright_python.__file__).parent / "axe.min.js"
    page.evaluate(script.read_text(encoding="utf-8"))
    found = page.evaluate(
        "place => axe.run({include: [[place]]}, {resultTypes: ['violations']})", place
    )
    return [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in found["violations"]
        for node in violation["nodes"]
        if violation["impact"] in ("serious", "critical")
    ]


@contextlib.contextmanager
def browser_with(
    sound: Path | None = None, refused: bool = False, width: int = 1366, microphone: bool = True
) -> Iterator:
    """A page of chromium; its microphone, if it has one, says what a WAV file holds."""
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--disable-gpu"]
    options += ["--use-fake-device-for-media-stream"] if microphone else []
    options.append("--deny-permission-prompts" if refused else "--use-fake-ui-for-media-stream")
    if sound is not None:
        options.append(f"--use-file-for-fake-audio-capture={sound}%noloop")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser.new_page(viewport={"width": width, "height": 900})
        browser.close()


def notebook_of(path: Path, *sources: str) -> None:
    """Write a notebook with these code cells."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, path)


needs_browser = pytest.mark.skipif(bool(missing()), reason=missing() or "-")
