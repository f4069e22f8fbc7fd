"""The checks of `septet doctor`. Each gives findings and changes nothing."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata, util
from pathlib import Path
from typing import Literal

from packaging.markers import Marker
from packaging.utils import canonicalize_name

from bentos.catalog import CATALOG, predictor_type
from bentos.release import open_release, read_pointer
from cli.ports import check_port, status_of
from cli.programs import INNER_HOST
from core import clock
from core.config import load_model_config
from core.denials import RecordsBehind
from core.errors import PortInUse, SeptetError
from core.platform_config import load_platform_config
from core.settings import ROOT, Settings, load_settings

_GIB = 2**30
_DISK_FAIL_BYTES = 1 * _GIB
_DISK_WARN_BYTES = 5 * _GIB
_CLOCK_SLACK = timedelta(minutes=2)
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$", re.MULTILINE)
_SHOWN_NAMES = 5


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    level
        ``ok``, ``warn`` (it works, but look at it) or ``fail`` (it does not work).
    subject
        What was checked.
    text
        What was found.
    fix
        What to do; empty when all is well.
    """

    level: Literal["ok", "warn", "fail"]
    subject: str
    text: str
    fix: str = ""


def examine() -> Iterator[Finding]:
    """Make every check, those first on which the others stand."""
    yield _python()
    yield from compare_versions(ROOT / "requirements.lock")
    yield _lightgbm_library()
    try:
        settings = load_settings()
    except SeptetError as error:
        fix = "Correct the variable, or unset it."
        yield Finding("fail", "settings", error.detail, fix)
        return
    yield Finding("ok", "settings", f"home {settings.home}, configs {settings.configs}")
    yield _home(settings)
    yield _disk(settings)
    yield _clock(settings)
    yield from _configs(settings)
    yield from _ports(settings)
    yield from _releases(settings)
    yield _mlflow(settings)
    yield _records(settings)
    yield _predictions(settings)


def _python() -> Finding:
    """Check the interpreter."""
    version = sys.version.split()[0]
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        return Finding("ok", "Python", version)
    fix = "Install Python 3.11, 3.12 or 3.13, then: make clean install PYTHON=python3.11"
    return Finding("fail", "Python", f"{version} is not one that the lock files hold for", fix)


def compare_versions(lock: Path) -> Iterator[Finding]:
    """Compare what is installed with a lock file.

    Parameters
    ----------
    lock
        Lines ``name==version``, maybe with a marker and hashes.
    """
    if not lock.is_file():
        yield Finding("warn", "libraries", f"{lock.name} is not here: versions are not checked")
        return
    wrong = []
    entries = _LOCKED.findall(lock.read_text(encoding="utf-8"))
    for name, wanted, marker in entries:
        if marker and not Marker(marker).evaluate():
            continue
        try:
            found = metadata.version(canonicalize_name(name))
        except metadata.PackageNotFoundError:
            found = "missing"
        if found != wanted:
            wrong.append(f"{name} {found} instead of {wanted}")
    if not wrong:
        yield Finding("ok", "libraries", f"{len(entries)} as locked in {lock.name}")
        return
    more = f", and {len(wrong) - _SHOWN_NAMES} more" if len(wrong) > _SHOWN_NAMES else ""
    text = f"not as locked: {', '.join(wrong[:_SHOWN_NAMES])}{more}"
    missing = any(" missing " in line for line in wrong)
    fix = "./bootstrap.sh installs exactly what is locked."
    yield Finding("fail" if missing else "warn", "libraries", text, fix)


def _lightgbm_library() -> Finding:
    """Load LightGBM's library, as serving does."""
    spec = util.find_spec("lightgbm")
    if spec is None or spec.origin is None:
        return Finding("fail", "LightGBM", "is not installed", "./bootstrap.sh")
    library = Path(spec.origin).parent / "lib" / "lib_lightgbm.so"
    if not library.exists():
        # Other systems name the file otherwise; the first prediction would tell.
        return Finding("warn", "LightGBM", f"{library} is not there", "./bootstrap.sh")
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return Finding("fail", "LightGBM", str(error), "apt-get install -y libgomp1")
    return Finding("ok", "LightGBM", "its library loads")


def _existing(folder: Path) -> Path:
    """Give the folder, or the nearest one above that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _home(settings: Settings) -> Finding:
    """Check that the home folder can be written."""
    folder = _existing(settings.home)
    if os.access(folder, os.W_OK | os.X_OK):
        return Finding("ok", "home", f"{settings.home} can be written")
    fix = "Give this user the folder, or set SEPTET_HOME to another one."
    return Finding("fail", "home", f"{folder} cannot be written", fix)


def _disk(settings: Settings) -> Finding:
    """Check the free space where the platform writes."""
    free = shutil.disk_usage(_existing(settings.home)).free
    text = f"{free / _GIB:.1f} GiB free under {settings.home}"
    fix = "Free some, or set SEPTET_HOME to a folder on another disk."
    if free < _DISK_FAIL_BYTES:
        return Finding("fail", "disk", text, fix)
    if free < _DISK_WARN_BYTES:
        return Finding("warn", "disk", text, fix)
    return Finding("ok", "disk", text)


def _clock(settings: Settings) -> Finding:
    """Look for files from the future: then the clock was, or is, wrong."""
    now = clock.now()
    pointers = [settings.releases / model / "champion.json" for model in CATALOG]
    stamps = [
        path.stat().st_mtime for path in (ROOT / "pyproject.toml", *pointers) if path.exists()
    ]
    latest = datetime.fromtimestamp(max(stamps, default=0.0), tz=UTC)
    if latest > now + _CLOCK_SLACK:
        text = (
            f"it says {now:%Y-%m-%d %H:%M:%S} UTC, but there are files from {latest:%Y-%m-%d %H:%M}"
        )
        fix = "Set the clock, best by a time service: timedatectl set-ntp true"
        return Finding("fail", "clock", text, fix)
    return Finding("ok", "clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _configs(settings: Settings) -> Iterator[Finding]:
    """Read every config, and what each model asks of it."""
    from services.history.masking import read_masks

    try:
        platform = load_platform_config(settings.platform_config_path)
        read_masks(settings, platform.history)
    except SeptetError as error:
        yield Finding("fail", "platform.yaml", error.detail, "Correct the file.")
    else:
        yield Finding("ok", "platform.yaml", "valid")
    for model in CATALOG:
        path = settings.model_config_path(model)
        try:
            config = load_model_config(path)
        except SeptetError as error:
            yield Finding("fail", path.name, error.detail, "Correct the file.")
        else:
            text = f"valid: {len(config.features)} features from {config.source.kind}"
            yield Finding("ok", path.name, text)


def _ports(settings: Settings) -> Iterator[Finding]:
    """Check that the ports are free, or ours."""
    wanted = (
        ("platform", settings.host, settings.port, "SEPTET_PORT", "/livez"),
        ("MLflow's page", INNER_HOST, settings.mlflow_port, "SEPTET_MLFLOW_PORT", "/health"),
    )
    for service, host, port, setting, path in wanted:
        subject = f"port {port}"
        try:
            check_port(host, port, service=service, setting=setting)
        except PortInUse as error:
            if status_of(host, port, path) is not None:
                yield Finding("ok", subject, f"something answers {path}: {service}, probably")
            else:
                yield Finding("fail", subject, error.detail, f"{setting}={port + 10} septet up")
        except SeptetError as error:
            yield Finding("fail", subject, error.detail, f"Set {setting} or SEPTET_HOST.")
        else:
            yield Finding("ok", subject, f"free for {service}")


def _releases(settings: Settings) -> Iterator[Finding]:
    """Open every champion on disk, which checks each byte and has it answer its own example."""
    for model in CATALOG:
        folder = settings.releases / model
        train = f"septet train {model}"
        try:
            pointer = read_pointer(folder)
            if pointer is None:
                yield Finding("warn", f"{model} release", "no champion yet", train)
                continue
            place = folder / pointer.version
            release = open_release(place, pointer=pointer, kind=predictor_type(model))
        except SeptetError as error:
            yield Finding("fail", f"{model} release", error.detail, train)
        else:
            text = f"version {release.version} is whole, and answers its example"
            yield Finding("ok", f"{model} release", text)


def _records(settings: Settings) -> Finding:
    """Reach the database of keys and audit, and count who may manage keys."""
    from services.access.ledger import KeyLedger
    from services.records import Records

    address = "SEPTET_RECORDS_ADDRESS"
    try:
        records = Records(settings.records_url)
        address = records.address
        if records.file is not None and not records.file.exists():
            return Finding("ok", "records", f"{records.file} is made by the first start")
        try:
            records.require_migrated()
            opens = KeyLedger(records).has_admin()
        finally:
            records.close()
    except RecordsBehind as error:
        return Finding("warn", "records", error.detail, "septet migrate; `septet up` does it too.")
    except SeptetError as error:
        fix = "Start the database, or correct SEPTET_RECORDS_ADDRESS."
        return Finding("fail", "records", error.detail, fix)
    if not opens:
        fix = "septet keys create NAME --role admin"
        return Finding("warn", "records", f"{address} has no admin key that opens", fix)
    return Finding("ok", "records", f"{address} answers")


def _predictions(settings: Settings) -> Finding:
    """Look whether the prediction log can be reached."""
    from services.history.store import open_store

    try:
        place = settings.predictions_place
        open_store(place).keys("*/*.manifest.json")
    except SeptetError as error:
        fix = "Correct the variable, or unset it."
        return Finding("fail", "predictions", error.detail, fix)
    except Exception as error:  # noqa: BLE001 - each kind of store fails in its own ways
        text = f"{place}: {type(error).__name__}: {error}"[:300]
        fix = "Correct SEPTET_PREDICTIONS, or the keys and the endpoint (AWS_…, FSSPEC_…)."
        return Finding("fail", "predictions", text, fix)
    return Finding("ok", "predictions", f"{place} answers")


def _mlflow(settings: Settings) -> Finding:
    """Reach MLflow's store."""
    address = settings.mlflow_address
    if settings.tracking_uri is None:
        return _mlflow_file(settings.mlflow_folder / "mlflow.db")
    from core.registry import Registry

    try:
        Registry(address).champion(CATALOG[0])
    except SeptetError as error:
        return Finding("fail", "MLflow", error.detail, "Start it, or correct SEPTET_TRACKING_URI.")
    return Finding("ok", "MLflow", f"{address} answers")


def _mlflow_file(path: Path) -> Finding:
    """Check the embedded store without importing MLflow, which takes seconds."""
    if not path.exists():
        return Finding("ok", "MLflow", f"{path} is made by the first training")
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            [verdict] = database.execute("PRAGMA quick_check(1)").fetchone()
            [runs] = database.execute("SELECT count(*) FROM runs").fetchone()
    except sqlite3.Error as error:
        fix = f"Put a copy of {path} back; the releases on disk go on answering meanwhile."
        return Finding("fail", "MLflow", f"{path} cannot be read ({error})", fix)
    if verdict != "ok":
        fix = f'sqlite3 {path} ".recover" | sqlite3 {path.with_suffix(".mended")}'
        return Finding("fail", "MLflow", f"{path} is damaged: {verdict}", fix)
    return Finding("ok", "MLflow", f"{path} is whole, {runs} runs")
