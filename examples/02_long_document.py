"""Text without an agent: one line, checked data, a stream, and a document of any length.

Run it with ZAI_API_KEY set to have GLM-5 answer; without a key a scripted server does.
"""

import asyncio
import os
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from agentkit import GLM, longtext
from agentkit.testing import GLMServer, Say

DOCUMENTS = Path(__file__).parent / "documents"
TASK = "List every percentage that the text names, with what it is a share of."


@dataclass
class City:
    """What is asked for, and what comes back."""

    name: str
    country: str


def scripted(request: dict) -> Say:
    """Answer without a key: data for the city, else the percentages in the message."""
    text = request["messages"][-1]["content"]
    if request.get("response_format"):
        return Say('{"name": "Florence", "country": "Italy"}')
    return Say(" ".join(re.findall(r"[\d.,]+ ?%", text)) or "Florence lies on the Arno.")


async def main() -> None:
    async with AsyncExitStack() as stack:
        if os.environ.get("ZAI_API_KEY"):
            glm = GLM("glm-5")
        else:
            server = await stack.enter_async_context(GLMServer(scripted))
            glm = GLM("glm-5", base_url=server.base_url)

        print(city := await glm.complete("A city on the Arno?", output=City))
        async for piece in glm.stream(f"One sentence about {city.name}."):
            print(piece, end="", flush=True)

        texts = [path.read_text("utf-8") for path in sorted(DOCUMENTS.glob("*.md"))]
        document = "\n\n".join(texts)  # imagine a million tokens
        policy = longtext.Policy(part_tokens=500, answer_tokens=300, cost_usd=0.5)
        print("\n\nExpected:", longtext.estimate(glm, document, TASK, policy))
        answer = await longtext.process(glm, document, TASK, policy=policy)
    print(answer.text)
    print(f"{answer.usage.input:,} tokens in ({answer.usage.cached_share:.0%} cached),", end=" ")
    print(f"${answer.cost_usd or 0:.4f}, {answer.seconds:.1f} s")


if __name__ == "__main__":
    asyncio.run(main())
