"""Tokens: what is signed is read back; what was tampered with, has expired or is for others is refused."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.commands import call, refused

from fleet.errors import ConfigError, GrantError, InputError
from fleet.settings import Settings
from fleet.web.grants import Grant, Issuer, Start, parse_start

SECRET = "a-secret-of-more-than-32-bytes-for-tests-alone"
GRANT = Grant("g-1", "ana", False, ("helper",), (Start("helper", {"order": 7}, "Order"), Start("billing")))


def pem(tmp_path, name="key.pem", *, public=False):
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / name).write_bytes(private)
    (tmp_path / f"public-{name}").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return tmp_path / name, tmp_path / f"public-{name}"


@pytest.fixture(params=["HS256", "EdDSA"])
def issuer(request, tmp_path):
    if request.param == "HS256":
        return Issuer(Settings(token_secret=SECRET))
    return Issuer(Settings(token_key=str(pem(tmp_path)[0])))


def test_a_token_with_two_dispatches_is_read_back_as_it_was_signed(issuer):
    assert issuer.check(issuer.sign(GRANT, 60)) == GRANT
    made = issuer.check(issuer.sign(Grant("", "bo", operator=True), 60))
    assert (made.user, made.operator, made.roles, made.starts, len(made.id)) == ("bo", True, (), (), 16)


def parts(token):
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_that_was_tampered_with_is_refused(issuer):
    token = issuer.sign(GRANT, 60)
    head, claims = parts(token)
    signature = token.split(".")[2]
    forged = [
        f"{encoded(head)}.{encoded(claims | {'sub': 'eve'})}.{signature}",
        f"{encoded(head)}.{encoded(claims | {'fleet': claims['fleet'] | {'operator': True}})}.{signature}",
        token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
        token.rsplit(".", 1)[0] + ".",
        "", "x", "a.b.c", token * 2, "\x00",
    ]  # fmt: skip
    for each in forged:
        with pytest.raises(GrantError, match=r"^the token is not one of ours$"):
            issuer.check(each)


def test_a_token_without_a_signature_or_of_another_algorithm_is_refused(issuer, tmp_path):
    head, claims = parts(issuer.sign(GRANT, 60))
    other = "HS512" if head["alg"] == "HS256" else "HS256"
    public = pem(tmp_path, "other.pem")[1].read_bytes()
    for each in (
        f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded(claims)}.",
        jwt.encode(claims, None, algorithm="none"),
        jwt.encode(claims, SECRET * 2, algorithm=other),
        jwt.encode(claims, base64.b64encode(public), algorithm="HS256"),
    ):
        with pytest.raises(GrantError, match=r"^the token is not one of ours$"):
            issuer.check(each)


def test_a_token_of_another_key_is_refused(tmp_path):
    ours, others = (Issuer(Settings(token_key=str(pem(tmp_path, name)[0]))) for name in ("a.pem", "b.pem"))
    with pytest.raises(GrantError, match="not one of ours"):
        ours.check(others.sign(GRANT, 60))
    with pytest.raises(GrantError, match="not one of ours"):
        Issuer(Settings(token_secret=SECRET)).check(Issuer(Settings(token_secret=SECRET + "x")).sign(GRANT, 60))


def test_an_expired_token_and_one_for_another_audience_are_refused(issuer, tmp_path):
    issuer = Issuer(Settings(token_secret=SECRET))
    other = Issuer(Settings(token_secret=SECRET, token_audience="shop"))
    with pytest.raises(GrantError, match=r"^the token is for somebody else's audience$"):
        issuer.check(other.sign(GRANT, 60))
    claims = parts(issuer.sign(GRANT, 60))[1]
    with pytest.raises(GrantError, match=r"^the token has expired$"):
        issuer.check(jwt.encode(claims | {"exp": int(time.time()) - 1}, SECRET, algorithm="HS256"))


@pytest.mark.parametrize("name", ["exp", "aud", "sub", "iat", "jti", "fleet"])
def test_a_token_that_leaves_something_out_is_refused(name):
    issuer = Issuer(Settings(token_secret=SECRET))
    claims = parts(issuer.sign(GRANT, 60))[1]
    del claims[name]
    with pytest.raises(GrantError, match="not one of ours"):
        issuer.check(jwt.encode(claims, SECRET, algorithm="HS256"))


def test_a_public_key_checks_and_does_not_sign(tmp_path):
    private, public = pem(tmp_path)
    token = Issuer(Settings(token_key=str(private))).sign(GRANT, 60)
    checking = Issuer(Settings(token_key=str(public)))
    assert checking.check(token) == GRANT
    with pytest.raises(ConfigError, match="is a public key: it checks tokens, and cannot sign them"):
        checking.sign(GRANT, 60)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "tokens need FLEET_TOKEN_SECRET (32 bytes or more) or FLEET_TOKEN_KEY"),
        ({"token_secret": SECRET, "token_key": "x"}, "tokens need FLEET_TOKEN_SECRET"),
        ({"token_secret": "short"}, "FLEET_TOKEN_SECRET needs 32 bytes or more"),
        ({"token_key": "/nowhere/key.pem"}, "FLEET_TOKEN_KEY /nowhere/key.pem: No such file or directory"),
        ({"token_key": __file__}, "is no PEM key without a password"),
    ],
)
def test_keys_that_will_not_do_are_refused_in_one_line(settings, why):
    with pytest.raises(ConfigError) as refused:
        Issuer(Settings(**settings))
    assert why in refused.value.message
    assert "short" not in refused.value.message


@pytest.mark.parametrize(("user", "ttl"), [("", 60), ("a\nb", 60), ("ana", 0), ("ana", -1)])
def test_a_grant_that_cannot_be_is_not_signed(user, ttl):
    with pytest.raises(InputError):
        Issuer(Settings(token_secret=SECRET)).sign(Grant("", user), ttl)


def test_what_starts_on_connect_is_a_role_with_metadata():
    assert parse_start("helper") == Start("helper")
    assert parse_start('helper={"a": "b=c"}') == Start("helper", {"a": "b=c"})
    for wrong in ("", "=1", "helper={", "helper=[1]"):
        with pytest.raises(InputError, match="an agent to start is ROLE or ROLE="):
            parse_start(wrong)


def test_the_command_prints_a_token_and_never_the_secret():
    done = call(
        "token", "create", "--user", "ana", "--start", 'helper={"order": 7}', "--start", "billing", "--role", "helper",
        FLEET_TOKEN_SECRET=SECRET,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    grant = Issuer(Settings(token_secret=SECRET)).check(done.stdout.strip())
    assert (grant.user, grant.roles, grant.operator) == ("ana", ("helper",), False)
    assert grant.starts == (Start("helper", {"order": 7}), Start("billing"))
    told = json.loads(call("token", "create", "--user", "a", "--ttl", "5", "--json", FLEET_TOKEN_SECRET=SECRET).stdout)
    assert (told["user"], told["expires_in_s"]) == ("a", 5)
    assert "tokens need FLEET_TOKEN_SECRET" in refused(call("token", "create", "--user", "ana"))
    assert SECRET not in repr(Settings(token_secret=SECRET))
