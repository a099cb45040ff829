"""An authenticator in software, for what no browser would do: answer for another place, twice, or as a copy."""

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import bytes_to_base64url as text

PRESENT_AND_VERIFIED = 0x05
HAS_CREDENTIAL = 0x40


@dataclass
class Authenticator:
    """One passkey (ES256), which counts how often it was used."""

    origin: str = "http://testserver"
    rp_id: str = "testserver"
    count: int = 0
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def create(self, options: dict[str, Any], *, challenge: str = "") -> str:
        """The answer of `navigator.credentials.create`, as JSON."""
        made = len(self.id).to_bytes(2) + self.id + self._public_key()
        data = self._data(PRESENT_AND_VERIFIED | HAS_CREDENTIAL) + bytes(16) + made
        client_data = self._client_data("webauthn.create", challenge or options["challenge"])
        attested = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._credential(
            {"clientDataJSON": text(client_data), "attestationObject": text(attested), "transports": ["internal"]}
        )

    def get(self, options: dict[str, Any], *, challenge: str = "") -> str:
        """The answer of `navigator.credentials.get`, as JSON."""
        self.count += 1
        data = self._data(PRESENT_AND_VERIFIED)
        client_data = self._client_data("webauthn.get", challenge or options["challenge"])
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(SHA256()))
        return self._credential(
            {
                "clientDataJSON": text(client_data),
                "authenticatorData": text(data),
                "signature": text(signature),
                "userHandle": None,
            }
        )

    def _credential(self, response: dict[str, Any]) -> str:
        return json.dumps({"id": text(self.id), "rawId": text(self.id), "type": "public-key", "response": response})

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4)

    def _client_data(self, type: str, challenge: str) -> bytes:
        return json.dumps({"type": type, "challenge": challenge, "origin": self.origin}).encode()

    def _public_key(self) -> bytes:
        """COSE (RFC 9052): EC2, ES256, P-256, x, y."""
        point = self.key.public_key().public_numbers()
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)})
