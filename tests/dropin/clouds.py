"""Headers as the balancers of clouds send them."""

from __future__ import annotations

import json
from pathlib import Path

from fastppv2 import build
from fastppv2.cloud import azure_private_link_id_tlv, gcp_psc_connection_id_tlv

CLIENT = ("192.0.2.1", 56324)
FRONTEND = ("198.51.100.2", 443)
CLIENT6, FRONTEND6 = ("2001:db8::1", 56324), ("2001:db8::2", 443)

_VECTORS = Path(__file__).parents[1] / "vectors" / "vectors.json"
_RECORDED = {
    vector["id"]: bytes.fromhex(vector["hex"])
    for vector in json.loads(_VECTORS.read_text(encoding="utf-8"))
}
NLB = _RECORDED["crc-aws-shape"]  # CRC32C, the VPC endpoint, NOOP
NLB_CHECK = _RECORDED["v2-local-nlb-healthcheck"]
CLASSIC_ELB = b"PROXY TCP4 198.51.100.1 203.0.113.1 56324 443\r\n"
AZURE = build(CLIENT, FRONTEND, tlvs=[azure_private_link_id_tlv(5678)])
GCP_PSC = build(CLIENT, FRONTEND, tlvs=[gcp_psc_connection_id_tlv(18446744072646845442)])
GCP_PROXY = build(CLIENT, FRONTEND, version=1)
OCI = build(CLIENT, FRONTEND)
OCI6 = build(CLIENT6, FRONTEND6)
