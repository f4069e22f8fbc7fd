"""The text of a key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.access.secret import KEY_LENGTH, digest_of, fault_of, new_id, new_key


def test_a_new_key_is_sound_and_holds_its_id() -> None:
    key_id = new_id()
    key = new_key(key_id)
    assert fault_of(key) is None
    assert key.startswith(f"sep_live_{key_id}_")
    assert len(key) == KEY_LENGTH


def test_two_keys_of_one_id_have_different_secrets() -> None:
    assert new_key("A" * 12) != new_key("A" * 12)


@given(place=st.integers(0, KEY_LENGTH - 1), sign=st.characters())
def test_any_one_changed_sign_is_noticed(place: int, sign: str) -> None:
    key = new_key("0123456789ab")
    changed = key[:place] + sign + key[place + 1 :]
    assert (fault_of(changed) is None) == (changed == key)


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_no_text_whatsoever_breaks_the_check(text: str) -> None:
    assert fault_of(text) is not None
    assert len(digest_of(text)) == 32


@pytest.mark.parametrize("text", ["", "sep_live_", "sep_live_" + "a" * 62, "a" * 100_000])
def test_what_is_no_key_is_called_so(text: str) -> None:
    assert "is not an API key of Septet" in str(fault_of(text))
