"""What a Python program does with the generated client; run with an address and a key."""

import json
import sys

from septet_client import AuthenticatedClient
from septet_client.api.models import models, models_info
from septet_client.api.predictions import predict_churn, predict_churn_batch
from septet_client.models import (
    ChurnAnswer,
    ChurnBatch,
    ChurnRow,
    ChurnRowContractType,
    ChurnRowRegion,
    ChurnRows,
    ChurnRowSector,
    ChurnRowSegment,
    InfoPage,
    ModelsInfoModel,
    ModelsPage,
    Problem,
)


def row_of(entity: str, tenure_months: int) -> ChurnRow:
    """Make a row."""
    return ChurnRow(
        client_id=entity,
        sector=ChurnRowSector.FINANCE,
        region=ChurnRowRegion.NORTH,
        segment=ChurnRowSegment.MID,
        contract_type=ChurnRowContractType.ANNUAL,
        tenure_months=tenure_months,
        monthly_amount=8500.0,
        nps=30,
        tickets_count=2,
        escalations_count=0,
        late_payments_count=1,
        utilisation_ratio=0.67,
        overrun_ratio=0.08,
        spend_change_ratio=0.02,
        price_increase_ratio=0.0,
        sponsor_changed=False,
        service_lines_count=2,
        days_since_contact=14,
    )


def main(address: str, key: str) -> None:
    """Ask, and print what was said."""
    client = AuthenticatedClient(
        base_url=address, token=key, auth_header_name="X-API-Key", prefix=""
    )
    page = models.sync(client=client)
    assert isinstance(page, ModelsPage)
    info = models_info.sync(ModelsInfoModel.CHURN, client=client)
    assert isinstance(info, InfoPage)
    answer = predict_churn.sync(client=client, body=row_of("a", 18), explain=True)
    assert isinstance(answer, ChurnAnswer)
    batch = predict_churn_batch.sync(
        client=client, body=ChurnRows(rows=[row_of("a", 18), row_of("b", -1)])
    )
    assert isinstance(batch, ChurnBatch)
    refused = predict_churn.sync(client=client, body=row_of("a", -1))
    assert isinstance(refused, Problem)
    said = {
        "models": [model.model for model in page.models],
        "info": info.model,
        "entity": answer.entity,
        "probability": answer.result.probability,
        "explained": bool(answer.drivers),
        "answered": batch.answered,
        "refused": batch.refused,
        "code": refused.code,
    }
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
