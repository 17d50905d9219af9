"""A small MCP server for 03_mcp.py: two tools, one of which asks the user."""

from typing import Annotated

from mcp.server.mcpserver import Elicit, MCPServer, Resolve
from mcp_types import ToolAnnotations
from pydantic import BaseModel

STOCK = {"tea": 12, "coffee": 3}
server = MCPServer("shop")


class Sure(BaseModel):
    """What the user fills in."""

    sure: bool


def ask(product: str, amount: int) -> Elicit[Sure]:
    """Ask the user before anything is ordered."""
    return Elicit(f"Order {amount} {product}?", Sure)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def stock(product: str) -> str:
    """How much of a product is left."""
    return f"{STOCK[product]} {product}"


@server.tool()
def order(product: str, amount: int, answer: Annotated[Sure, Resolve(ask)]) -> str:
    """Order more of a product."""
    return f"ordered {amount} {product}" if answer.sure else "not ordered"


if __name__ == "__main__":
    server.run()
