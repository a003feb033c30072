"""A supervisor's program on the client that openapi-python-client made of the supervision API's own document."""

import sys

from regulator_api_client import AuthenticatedClient
from regulator_api_client.api.supervision import get_v1_swaps, get_v1_swaps_id, get_v1_swaps_id_evidence
from regulator_api_client.models import EvidenceAnswer, EvidenceFile, GetV1SwapsIdEvidenceLeg, SwapDocument, SwapsPage

address, key = sys.argv[1:]
with AuthenticatedClient(base_url=address, token=key, prefix="", auth_header_name="X-API-Key") as client:
    assert isinstance(get_v1_swaps_id.sync("swap-1", client=client), SwapDocument)
    assert isinstance(get_v1_swaps_id_evidence.sync("swap-1", client=client), EvidenceAnswer)
    leg = GetV1SwapsIdEvidenceLeg("participant")
    one = get_v1_swaps_id_evidence.sync("swap-1", client=client, leg=leg)
    assert isinstance(one, EvidenceFile), one
    assert isinstance(get_v1_swaps.sync(client=client, limit=1), SwapsPage)
    print(one.digest)
