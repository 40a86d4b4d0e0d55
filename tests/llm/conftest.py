"""Claude's models against a Messages API on loopback, for every test here that asks for them."""

from collections.abc import AsyncIterator, Callable

import pytest
from support.claude import KEY
from support.messages_server import MessagesServer

from fleet.llm.anthropic import AnthropicModel


@pytest.fixture
async def messages_server() -> AsyncIterator[MessagesServer]:
    async with MessagesServer() as server:
        yield server


@pytest.fixture
async def make_claude(messages_server: MessagesServer) -> AsyncIterator[Callable[..., AnthropicModel]]:
    """Makes models of the loopback server that try once, unless told otherwise; closes them."""
    made: list[AnthropicModel] = []

    def make(**options: object) -> AnthropicModel:
        given = {"api_key": KEY, "base_url": messages_server.url, "retries": 0, **options}
        made.append(AnthropicModel("claude-test", **given))
        return made[-1]

    yield make
    for model in made:
        await model.aclose()


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def claude(make_claude: Callable[..., AnthropicModel], request: pytest.FixtureRequest) -> AnthropicModel:
    return make_claude(stream=request.param)
