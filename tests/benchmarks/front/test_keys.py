"""The many keys of the benchmark are keys as any other."""

from __future__ import annotations

from pathlib import Path

from benchmarks.front.keys import write_keys
from core.settings import Settings
from services.access.first_key import create_admin_key
from services.access.keys import KeyStore
from services.records import Records


def test_keys_that_are_written_at_once_open(tmp_path: Path) -> None:
    create_admin_key(tmp_path)
    settings = Settings(home=tmp_path, records_address=None)
    keys = write_keys(settings, 5_001)
    records = Records(settings.records_url)
    store = KeyStore(records)
    store.refresh()
    assert len(set(keys)) == 5_001
    assert len(store) == 5_002
    assert store.identify(keys[0]).key_id != store.identify(keys[-1]).key_id
    records.close()
