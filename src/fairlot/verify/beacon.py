r"""The public randomness beacon *drand*, checked offline.

drand's chain *quicknet* (a network of independent organisations) signs the number of each round, three
seconds apart, with a key that no single member has. Nobody knows the signature before the round, and for
each round there is only one. With :math:`\sigma` the signature, a point of G1 of the curve BLS12-381,
:math:`P` the network's public key in G2 and :math:`H` the hash to G1 of RFC 9380, a round r is genuine iff

    e(σ, g₂) = e(H(SHA-256(r as 8 bytes, big-endian)), P),

and its randomness is SHA-256(σ). The key, the period and the start are hashed to the chain's name, so that
whoever trusts that name need not trust this file.

References
----------
drand, "Protocol specification", scheme ``bls-unchained-g1-rfc9380``.
Boneh, Lynn, Shacham (2001), "Short Signatures from the Weil Pairing". RFC 9380, "Hashing to Elliptic Curves".
"""

from __future__ import annotations

import hashlib

from fairlot.errors import MissingExtraError

PUBLIC_KEY = bytes.fromhex(
    "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
    "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
)
GENESIS = 1692803367  # when round 1 is signed, in seconds of Unix time
PERIOD = 3  # seconds between rounds
_GROUP_HASH = bytes.fromhex("f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e")
_DOMAIN = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"


def chain_name() -> str:
    """Return the hash by which drand names the chain with this key, period and start.

    Examples
    --------
    >>> chain_name()
    '52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971'
    """
    start = PERIOD.to_bytes(4, "big") + GENESIS.to_bytes(8, "big")
    return hashlib.sha256(start + PUBLIC_KEY + _GROUP_HASH + b"quicknet").hexdigest()


def round_time(number: int) -> int:
    """Return when a round is signed, in seconds of Unix time.

    Examples
    --------
    >>> round_time(1) == GENESIS
    True
    """
    return GENESIS + (number - 1) * PERIOD


def is_genuine(number: int, signature: bytes) -> bool:
    """Check that quicknet's key made the signature of a round.

    Parameters
    ----------
    number : int
        The round, from 1.
    signature : bytes
        48 bytes, a compressed point of G1.

    Raises
    ------
    MissingExtraError
        If the library for the curve is not installed.
    """
    try:
        from py_ecc.bls.g2_primitives import subgroup_check
        from py_ecc.bls.hash_to_curve import hash_to_G1
        from py_ecc.bls.point_compression import decompress_G1, decompress_G2
        from py_ecc.optimized_bls12_381 import FQ12, G2, final_exponentiate, is_inf, neg, pairing
    except ImportError:
        raise MissingExtraError("checking the signature of a drand round", "beacon") from None
    if len(signature) != 48:
        return False
    try:
        sigma = decompress_G1(int.from_bytes(signature, "big"))
    except ValueError:  # not a point of the curve
        return False
    if is_inf(sigma) or not subgroup_check(sigma):
        return False
    key = decompress_G2((int.from_bytes(PUBLIC_KEY[:48], "big"), int.from_bytes(PUBLIC_KEY[48:], "big")))
    message = hashlib.sha256(number.to_bytes(8, "big")).digest()
    hashed = hash_to_G1(message, _DOMAIN, hashlib.sha256)
    product = pairing(G2, sigma, final_exponentiate=False) * pairing(
        key, neg(hashed), final_exponentiate=False
    )
    return bool(final_exponentiate(product) == FQ12.one())
