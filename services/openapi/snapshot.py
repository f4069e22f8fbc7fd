"""The document of the shipped configs, without any trained model: ``docs/openapi.json``.

``python -m services.openapi.snapshot`` writes it anew; a change of the interface shows in review.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bentos.catalog import CATALOG, contract_of, predictor_type
from core.config import load_model_config
from services.app import create_app
from services.docs import docs_files
from services.openapi.page import build_document
from services.predictions.schema import Face
from services.runtime import Runtime

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = ROOT / "docs" / "openapi.json"


def shipped_face(model: str) -> Face:
    """Give the face that a model's shipped config has.

    Parameters
    ----------
    model
        Its name.

    Raises
    ------
    ConfigError
        The config is wrong.
    """
    config = load_model_config(ROOT / "configs" / "models" / f"{model}.yaml")
    kind = predictor_type(model)
    return Face(model, contract_of(config), kind.RESULT, kind.RANK_BY)


def render_snapshot() -> str:
    """Write the document as it stands in git."""
    app = create_app(Runtime(), docs_files=docs_files())
    document = build_document(app, [shipped_face(model) for model in CATALOG])
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=False) + "\n"


def main() -> int:
    """Write the snapshot."""
    SNAPSHOT.write_text(render_snapshot(), encoding="utf-8")
    sys.stdout.write(f"{SNAPSHOT.relative_to(ROOT)} is written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
