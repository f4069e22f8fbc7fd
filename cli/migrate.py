"""`septet migrate`: the tables of keys and audit, brought to this version."""

from __future__ import annotations


def migrate() -> None:
    """Make or update the tables of keys and audit; a running platform takes notice by itself.

    `septet up` does the same. Takes over the keys of an `access.json` once.

    Example: `septet migrate`
    """
    from cli.screen import out
    from core.settings import load_settings
    from services.access.audit import Actor
    from services.access.first_key import prepare_records

    records = prepare_records(load_settings(), by=Actor.shell())
    try:
        revision = records.revision()
    finally:
        records.close()
    out().print(f"{records.address}: revision {revision}", markup=False, soft_wrap=True)
