"""The topology ``distributed``: what the platform holds of bentos that run on their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from services.predictions.hop import Hop, Lines
from services.releases.remote import RemoteHolder

if TYPE_CHECKING:
    from bentos.predictor import Predictor
    from core.platform_config import Limits


class Bentos:
    """All bentos of a platform.

    Parameters
    ----------
    addresses
        Model to base URL of its bento.
    kind_of
        Gives the predictor class of a model.
    limits
        Of a request.
    is_queued
        Whether BentoML's own queue gathers rows too.
    """

    def __init__(
        self,
        addresses: Mapping[str, str],
        *,
        kind_of: Callable[[str], type[Predictor]],
        limits: Limits,
        is_queued: bool,
    ) -> None:
        self.holder = RemoteHolder(addresses, predictor_type=kind_of)
        self.lines = Lines()
        self.hops = {
            model: Hop(
                model, address, self.lines, body_bytes=limits.body_bytes, is_queued=is_queued
            )
            for model, address in addresses.items()
        }
