"""The sandbox: code in a hardened container."""
