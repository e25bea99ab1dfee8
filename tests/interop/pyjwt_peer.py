"""PyJWT as the other side. Reads one JSON request, writes one JSON answer.

{"claims": {...}, "sign": [alg, ...], "verify": [{"alg", "jwk", "token"}, ...]}
-> {"signed": [{"alg", "jwk", "token"}, ...], "verdicts": [true, false, ...]}

Signs with keys of its own, of which it gives the public half.
"""

import json
import secrets
import sys

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

ALGORITHMS = get_default_algorithms()
MAKE = {
    "RS": lambda: rsa.generate_private_key(65537, 2048),
    "PS": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def sign(alg, claims):
    if alg.startswith("HS"):
        private = public = secrets.token_bytes(64)
    else:
        private = (MAKE.get(alg) or MAKE[alg[:2]])()
        public = private.public_key()
    token = jwt.encode(claims, private, algorithm=alg, headers={"kid": "a"})
    jwk = json.loads(ALGORITHMS[alg].to_jwk(public))
    return {"alg": alg, "jwk": {**jwk, "kid": "a", "use": "sig", "key_ops": ["verify"]}, "token": token}


def verifies(item, claims):
    try:
        key = jwt.PyJWK(item["jwk"], algorithm=item["alg"]).key
        return jwt.decode(item["token"], key, algorithms=[item["alg"]]) == claims
    except jwt.PyJWTError:
        return False


asked = json.load(sys.stdin)
answer = {
    "signed": [sign(alg, asked["claims"]) for alg in asked["sign"]],
    "verdicts": [verifies(item, asked["claims"]) for item in asked["verify"]],
}
json.dump(answer, sys.stdout)
