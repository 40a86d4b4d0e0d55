"""Grants: signed, expiring tokens with which a client speaks for one user, or an operator for all.

The only module that knows PyJWT. The algorithm is the configuration's, never the token's.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.clock import now
from fleet.errors import ConfigError, GrantError, InputError
from fleet.settings import Settings

try:
    import jwt
except ImportError as missing:  # pragma: no cover - the extra is not installed
    raise ConfigError("the HTTP API needs PyJWT and aiohttp; install 'fleet-runtime[web]'") from missing

__all__ = ["Grant", "Issuer", "Start", "parse_start"]

_LEAST_BYTES = 32  # of an HS256 secret
_NEEDED = ("sub", "aud", "iat", "exp", "jti")


@dataclass(frozen=True)
class Start:
    """An agent that is dispatched when the client connects."""

    agent: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True)
class Grant:
    """What a token allows. `id` is its own; `user` whom it speaks for; an operator speaks for everybody.

    `starts` are dispatched on connect, once for each token; `roles` are the only ones that its messages and dispatches
    may go to (none: all).
    """

    id: str
    user: str
    operator: bool = False
    roles: tuple[str, ...] = ()
    starts: tuple[Start, ...] = ()

    def may(self, role: str) -> bool:
        """Whether a dispatch may name this role."""
        return not self.roles or role in self.roles


class Issuer:
    """Signs and checks tokens with the settings' secret (HS256) or Ed25519 key (EdDSA).

    Raises: ConfigError without either, with both, for a secret of fewer than 32 bytes, or a file that is no such key.
    """

    def __init__(self, settings: Settings) -> None:
        self._audience = settings.token_audience
        secret, file = settings.token_secret, settings.token_key
        if bool(secret) == bool(file):
            raise ConfigError("tokens need FLEET_TOKEN_SECRET (32 bytes or more) or FLEET_TOKEN_KEY (a PEM file): one")
        if secret:
            if len(secret.encode()) < _LEAST_BYTES:
                raise ConfigError(f"FLEET_TOKEN_SECRET needs {_LEAST_BYTES} bytes or more; `openssl rand -hex 32`")
            self._algorithm, self._signing, self._checking = "HS256", secret, secret
        else:
            self._algorithm = "EdDSA"
            self._signing, self._checking = _keys(Path(file))

    def sign(self, grant: Grant, ttl_s: float) -> str:
        """The token of a grant, good from now for `ttl_s` seconds; an id is made if it has none.

        Raises: InputError for a user that is no plain line, a time that is not above 0; ConfigError if there is only a
        public key.
        """
        if self._signing is None:
            raise ConfigError("FLEET_TOKEN_KEY is a public key: it checks tokens, and cannot sign them")
        if not ttl_s > 0:
            raise InputError(f"a token is good for more than 0 seconds, not {ttl_s:g}")
        if not grant.user or not grant.user.isprintable() or len(grant.user) > 128:
            raise InputError("a token's user is 1 to 128 printable characters")
        issued = int(now().timestamp())
        claims = {
            "sub": grant.user, "aud": self._audience, "iat": issued, "exp": issued + max(1, round(ttl_s)),
            "jti": grant.id or secrets.token_hex(8),
            "fleet": {
                "operator": grant.operator, "roles": list(grant.roles),
                "starts": [{"agent": s.agent, "metadata": dict(s.metadata), "name": s.name} for s in grant.starts],
            },
        }  # fmt: skip
        return jwt.encode(claims, self._signing, algorithm=self._algorithm)

    def check(self, token: str) -> Grant:
        """The grant of a token. Raises: GrantError in one line that does not repeat the token."""
        try:
            claims = jwt.decode(
                token,
                self._checking,
                algorithms=[self._algorithm],
                audience=self._audience,
                options={"require": list(_NEEDED)},
            )
            return _grant(claims)
        except jwt.ExpiredSignatureError:
            raise GrantError("the token has expired") from None
        except jwt.InvalidAudienceError:
            raise GrantError("the token is for somebody else's audience") from None
        except (jwt.PyJWTError, KeyError, TypeError, ValueError, AttributeError):
            raise GrantError("the token is not one of ours") from None


def _grant(claims: Mapping[str, Any]) -> Grant:
    given = claims["fleet"]
    starts = tuple(Start(str(each["agent"]), dict(each["metadata"]), str(each["name"])) for each in given["starts"])
    roles = tuple(str(each) for each in given["roles"])
    return Grant(str(claims["jti"]), str(claims["sub"]), given["operator"] is True, roles, starts)


def _keys(file: Path) -> tuple[Any, Any]:
    """The private and the public key in a PEM file; the private one is None where only the public one is there."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    try:
        body = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"FLEET_TOKEN_KEY {file}: {error.strerror or error}") from None
    try:
        found = load_pem_private_key(body, None) if b"PRIVATE" in body else load_pem_public_key(body)
    except (ValueError, TypeError):
        raise ConfigError(f"FLEET_TOKEN_KEY {file} is no PEM key without a password") from None
    if isinstance(found, Ed25519PrivateKey):
        return found, found.public_key()
    if isinstance(found, Ed25519PublicKey):
        return None, found
    raise ConfigError(f"FLEET_TOKEN_KEY {file} is no Ed25519 key; `openssl genpkey -algorithm ed25519`")


def parse_start(text: str) -> Start:
    """What `ROLE` or `ROLE={"order": 7}` names. Raises: InputError."""
    role, equals, metadata = text.partition("=")
    try:
        found = json.loads(metadata) if equals else {}
    except ValueError:
        found = None
    if not role or not isinstance(found, dict):
        raise InputError(f'an agent to start is ROLE or ROLE={{"order": 7}}, not {text!r}')
    return Start(role, found)
