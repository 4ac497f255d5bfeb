"""Installing, with a compiler and without one; needs the package index, as installing does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NO_COMPILER = "/nonexistent/c++"
COMPILED = "--config-settings=kernels.compiled="
pytestmark = pytest.mark.slow


def wheel(folder: Path, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
    return subprocess.run(
        [*pip, *options, str(ROOT)],
        env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip


def built(folder: Path, done: subprocess.CompletedProcess[str]) -> tuple[str, list[str]]:
    """The wheel's name, and what of it is compiled or was to be."""
    assert done.returncode == 0, done.stderr
    (file,) = folder.iterdir()
    with zipfile.ZipFile(file) as archive:
        return file.name, [name for name in archive.namelist() if "/native/" in name or "/_native." in name]


def info(file: Path, folder: Path) -> dict[str, object]:
    """`stream-mix info` of an environment with that wheel, and the packages of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(file)], check=True)
    words = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", words], check=True, capture_output=True, text=True).stdout.strip()
    (Path(site) / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    done = subprocess.run(
        [python, "-m", "stream_mix.cli", "info", "--json"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_without_a_compiler_it_is_pure_python_and_says_so(tmp_path: Path) -> None:
    name, compiled = built(tmp_path / "wheel", wheel(tmp_path / "wheel", CXX=NO_COMPILER))
    assert name.endswith("-py3-none-any.whl")
    assert compiled == ["stream_mix/mixture/kernels/_native.pyi"]
    found = info(tmp_path / "wheel" / name, tmp_path / "env")
    assert found["kernels"] == "reference (NumPy)"
    assert found["kernels_available"] == ["reference"]
    assert str(found["kernels_not_compiled"]).startswith("not compiled: no C++ compiler")


def test_with_a_compiler_only_the_module_is_added(tmp_path: Path) -> None:
    if not (os.environ.get("CXX") or shutil.which("c++")):
        pytest.skip("no C++ compiler here")
    name, compiled = built(tmp_path / "wheel", wheel(tmp_path / "wheel", COMPILED + "yes"))
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert f"-{version}-{version}" in name
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    module = f"stream_mix/mixture/kernels/_native{suffix}"
    assert sorted(compiled) == sorted([module, "stream_mix/mixture/kernels/_native.pyi"])
    found = info(tmp_path / "wheel" / name, tmp_path / "env")
    assert "(C++)" in str(found["kernels"])
    assert found["kernels_not_compiled"] is None


def test_who_asks_for_compiled_kernels_gets_them_or_an_error(tmp_path: Path) -> None:
    done = wheel(tmp_path, COMPILED + "yes", CXX=NO_COMPILER)
    assert done.returncode != 0
    assert NO_COMPILER in done.stderr
    assert not list(tmp_path.iterdir())


def test_who_asks_for_pure_python_gets_it(tmp_path: Path) -> None:
    name, _ = built(tmp_path, wheel(tmp_path, COMPILED + "no"))
    assert name.endswith("-py3-none-any.whl")
