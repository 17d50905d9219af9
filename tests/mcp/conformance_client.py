"""The client that the official conformance suite drives: `conformance_client.py URL`.

It opens the server as a toolset and calls every tool that it offers, as an agent would; the
suite's server judges what arrives. Sign-in is the mcp package's own, passed as `auth=`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from urllib.parse import parse_qs, urlsplit

import httpx2
from calling import opened
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

from agentkit.mcp import MCPServer

SCENARIO = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
CONTEXT = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
REDIRECT = "http://localhost:3030/callback"
CLIENT_ID_DOCUMENT = "https://conformance-test.local/client-metadata.json"


class Memory:
    """Where a sign-in keeps its tokens."""

    def __init__(self):
        self.tokens = None
        self.client = None
        if "client_id" in CONTEXT and "client-credentials" not in SCENARIO:
            self.client = OAuthClientInformationFull(
                client_id=CONTEXT["client_id"],
                client_secret=CONTEXT.get("client_secret"),
                redirect_uris=[REDIRECT],
                token_endpoint_auth_method="client_secret_basic",
            )

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info


def sign_in(url):
    """Return the sign-in that a scenario asks for; a browser is a request that redirects."""
    if SCENARIO == "auth/client-credentials-basic":
        return ClientCredentialsOAuthProvider(
            server_url=url,
            storage=Memory(),
            client_id=CONTEXT["client_id"],
            client_secret=CONTEXT["client_secret"],
        )
    if SCENARIO == "auth/client-credentials-jwt":
        signed = SignedJWTParameters(
            issuer=CONTEXT["client_id"],
            subject=CONTEXT["client_id"],
            signing_algorithm=CONTEXT.get("signing_algorithm", "ES256"),
            signing_key=CONTEXT["private_key_pem"],
        )
        return PrivateKeyJWTOAuthProvider(
            server_url=url,
            storage=Memory(),
            client_id=CONTEXT["client_id"],
            assertion_provider=signed.create_assertion_provider(),
        )
    return _in_a_browser(url)


def _in_a_browser(url):
    answers = []

    async def redirect(address):
        async with httpx2.AsyncClient() as browser:
            answer = await browser.get(address, follow_redirects=False)
        answers.append(parse_qs(urlsplit(answer.headers["location"]).query))

    async def callback():
        from mcp.client.auth import AuthorizationCodeResult

        found = {key: values[0] for key, values in answers.pop().items()}
        return AuthorizationCodeResult(
            code=found["code"], state=found.get("state"), iss=found.get("iss")
        )

    return OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(client_name="agentkit", redirect_uris=[REDIRECT]),
        storage=Memory(),
        redirect_handler=redirect,
        callback_handler=callback,
        client_metadata_url=CLIENT_ID_DOCUMENT,
    )


async def accept_defaults(question):
    """Answer with the defaults of the form."""
    fields = question.schema.get("properties", {})
    return {name: one["default"] for name, one in fields.items() if "default" in one}


async def main(url):
    auth = sign_in(url) if SCENARIO.startswith("auth/") else None
    async with opened(MCPServer(url=url, name="suite", elicit=accept_defaults, auth=auth)) as run:
        for name, tool in run.tools.items():
            wanted = tool.parameters.get("required", ())
            done = await run.one(name, **dict.fromkeys(wanted, 5))
            print(name, done.status, done.content[:200], file=sys.stderr)


asyncio.run(main(sys.argv[-1]))
