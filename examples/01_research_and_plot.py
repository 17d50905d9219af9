"""Research in documents, a chart from what was found, an answer with sources.

Run it with ZAI_API_KEY set to have GLM-5 answer; without a key the rehearsal model does.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

from agentkit import GLM, Agent, Limits, update_plan
from agentkit.testing import GLMServer, rehearse
from agentkit_tools import CodeInterpreter, Documents

DOCUMENTS = Path(__file__).parent / "documents"
TASK = (
    "Find GLM-5's benchmark scores and prices in the documents, plot GLM-5 against its rivals, "
    "and say what each figure's source is."
)
INSTRUCTIONS = (
    "Plan with update_plan. Search with several queries in one turn and read what matters. Draw "
    "the chart with execute_code and matplotlib, saved as PNG. Answer in Markdown and give each "
    "figure's source as document and line range; where documents disagree, name both."
)


async def main() -> None:
    async with AsyncExitStack() as stack:
        if os.environ.get("ZAI_API_KEY"):
            model = GLM("glm-5")
        else:
            server = await stack.enter_async_context(GLMServer(rehearse))
            model = GLM("glm-5", base_url=server.base_url)
        agent = Agent(
            model,
            instructions=INSTRUCTIONS,
            tools=[update_plan, Documents(DOCUMENTS), CodeInterpreter()],
            limits=Limits(turns=30, cost_usd=1.0),
        )
        result = await agent.run(TASK)

    print(result.output)
    for path in result.save_artifacts("artifacts"):
        print("saved", path)
    share = result.usage.cached_share
    print(f"{result.turns} turns, {result.usage.input} tokens in ({share:.0%} cached),", end=" ")
    print(f"${result.cost_usd or 0:.4f}, {result.seconds:.1f} s")


if __name__ == "__main__":
    asyncio.run(main())
