"""Tools that come with agentkit."""
