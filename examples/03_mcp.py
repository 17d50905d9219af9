"""Tools of an MCP server: started for the run, asked in parallel, ended with the run.

Run it with ZAI_API_KEY set to have GLM-5 answer; without a key a scripted server does. Needs the
extra `mcp`. Any other server is named in the same way: MCPServer("npx", "-y", "SOME-PACKAGE"),
MCPServer(url="https://..."), or load_mcp_json("mcp.json").
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from agentkit import GLM, Agent
from agentkit.mcp import Elicitation, MCPServer
from agentkit.messages import ToolOutput
from agentkit.testing import Call, GLMServer, Say
from agentkit.tool import filter_tools

SERVER = Path(__file__).with_name("03_shop_server.py")
TASK = "How much tea and coffee is left? Order 5 more of what is scarce."
SCRIPT = [
    Say(calls=[Call("shop__stock", {"product": name}) for name in ("tea", "coffee")]),
    Say(calls=[Call("shop__order", {"product": "coffee", "amount": 5})]),
    "There were 12 tea and 3 coffee; 5 coffee are ordered.",
]


async def answer(question: Elicitation) -> dict[str, bool]:
    """Answer what the server asks the user; here the answer is always yes."""
    print(f"{question.server} asks: {question.message} Yes.")
    return {"sure": True}


async def main() -> None:
    async with AsyncExitStack() as stack:
        if os.environ.get("ZAI_API_KEY"):
            model = GLM("glm-5")
        else:
            glm = await stack.enter_async_context(GLMServer(SCRIPT))
            model = GLM("glm-5", base_url=glm.base_url)
        shop = MCPServer(sys.executable, str(SERVER), name="shop", elicit=answer)
        agent = Agent(model, tools=[filter_tools(shop, "shop__stock", "shop__order")])
        result = await agent.run(TASK)
    for message in result.messages:
        if isinstance(message, ToolOutput):
            print(message.content)
    print(result.output)


if __name__ == "__main__":
    asyncio.run(main())
