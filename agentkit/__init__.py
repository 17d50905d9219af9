"""agentkit: agents on GLM-5."""
