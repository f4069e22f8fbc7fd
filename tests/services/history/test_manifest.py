"""A manifest is read as it was written, or refused: by damage, or by a later version's format."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from bentos.release import Release
from core.history_faults import LogOfLaterVersion
from services.history.erasure import FOLDER, Erasures, proofs
from services.history.manifest import (
    FORMAT,
    LogFile,
    Manifest,
    ManifestCorrupt,
    Retired,
    read_manifest,
    write_manifest,
)
from services.history.store import FolderStore
from tests.services.history.conftest import log_of, move, row, rows_of, write_segment
from tests.services.history.wishes import ask
from tests.services.history.workers import Worker

KEY = "2026-03.me.manifest.json"
AT = datetime(2026, 3, 31, 12, tzinfo=UTC)
FILE = LogFile(
    name="0b1c-me.parquet", day=date(2026, 3, 31), rows=7, size_bytes=900, first_at=AT, last_at=AT,
    first_id="00" * 16, last_id="ff" * 16,
)  # fmt: skip
MANIFEST = Manifest(
    files=(FILE,), moved=frozenset({"a-0"}), retired=(Retired(path="2026-03-31/x.parquet", at=AT),)
)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """Write a manifest into a folder."""
    store = FolderStore(tmp_path)
    write_manifest(store, KEY, MANIFEST)
    return store


def rewrite(path: Path, **changes: Any) -> None:
    """Write a file of JSON anew, as a later version may: with its checksum."""
    content = json.loads(path.read_text())
    content.pop("checksum", None)
    body = json.dumps({**content, **changes})[:-1]
    path.write_text(f'{body},"checksum":"{crc32(body.encode()):08x}"}}')


class TestDamage:
    def test_no_bit_flips_unnoticed(self, store: FolderStore, tmp_path: Path) -> None:
        content = store.read(KEY)
        for place in range(len(content)):
            for bit in range(8):
                flipped = bytearray(content)
                flipped[place] ^= 1 << bit
                (tmp_path / KEY).write_bytes(flipped)
                with pytest.raises(ManifestCorrupt, match="from a backup"):
                    read_manifest(store, KEY)

    def test_no_byte_is_missing_unnoticed(self, store: FolderStore, tmp_path: Path) -> None:
        content = store.read(KEY)
        for size in range(len(content)):
            (tmp_path / KEY).write_bytes(content[:size])
            with pytest.raises(ManifestCorrupt):
                read_manifest(store, KEY)

    def test_a_name_that_is_another_deletes_no_file(self, tmp_path: Path, release: Release) -> None:
        write_segment(tmp_path / "spool", release, [row(1)], name="a-0")
        move(tmp_path)
        log = log_of(tmp_path)
        [(place, file)] = log.files("churn")
        [manifest] = (tmp_path / "predictions" / "churn").glob("*.manifest.json")
        whole = manifest.read_bytes()
        other = ("0" if file.name[0] != "0" else "1") + file.name[1:]
        manifest.write_bytes(whole.replace(file.name.encode(), other.encode()))
        with pytest.raises(ManifestCorrupt):
            log_of(tmp_path).sweep(older_s=0)
        assert Path(place).exists()
        manifest.write_bytes(whole)
        assert len(rows_of(log)) == 1

    def test_whoever_has_no_checksum_from_before_there_were_any_is_read(
        self, store: FolderStore, tmp_path: Path
    ) -> None:
        (tmp_path / KEY).write_text(MANIFEST.model_dump_json())
        assert read_manifest(store, KEY) == MANIFEST


class TestVersions:
    def test_what_a_later_version_adds_is_passed_over(
        self, store: FolderStore, tmp_path: Path
    ) -> None:
        files = [{**json.loads(FILE.model_dump_json()), "colour": "red"}]
        rewrite(tmp_path / KEY, files=files, more={"than": "this"})
        assert read_manifest(store, KEY) == MANIFEST

    def test_a_manifest_of_a_later_format_is_refused_and_left_alone(
        self, tmp_path: Path, release: Release
    ) -> None:
        write_segment(tmp_path / "spool", release, [row(1)], name="a-0")
        move(tmp_path)
        [path] = (tmp_path / "predictions" / "churn").glob("*.manifest.json")
        # Nothing in it needs to be as it was.
        rewrite(path, format=FORMAT + 1, files="elsewhere")
        content = path.read_bytes()
        write_segment(tmp_path / "spool", release, [row(2)], name="a-1")
        said = f"format {FORMAT + 1}.* up to {FORMAT}.*Start the version that wrote it"
        with pytest.raises(LogOfLaterVersion, match=said):
            move(tmp_path)
        assert path.read_bytes() == content
        assert (tmp_path / "spool" / "a-1.seg").exists()

    def test_an_erasure_of_a_later_format_is_refused_and_one_with_more_in_it_is_read(
        self, tmp_path: Path
    ) -> None:
        identity = ask(tmp_path / "spool", "c1")
        worker = Worker(tmp_path)
        worker.work()
        [proof] = proofs(worker.log, identity)
        path = tmp_path / "predictions" / FOLDER / f"{identity}.json"
        rewrite(path, colour="red")
        assert proofs(worker.log, identity) == [proof]
        rewrite(path, format=FORMAT + 1)
        with pytest.raises(LogOfLaterVersion, match=re.escape(str(path))):
            Erasures(log_of(tmp_path)).look()
