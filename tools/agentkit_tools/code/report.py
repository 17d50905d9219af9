"""The result of a program in the words that a model reads."""

from __future__ import annotations

from typing import Final

from agentkit_sandbox import ExecResult

STDERR_SHARE: Final = 4  # standard error gets a quarter of the room: warnings repeat themselves


def describe(result: ExecResult, timeout: float, most: int) -> str:
    """Return what a model has to know of a result.

    Args:
        result: what the program did.
        timeout: seconds that it was given.
        most: characters of output; long output keeps its head and tail.
    """
    parts: list[str] = []
    if result.stdout:
        parts.append(clip(result.stdout.rstrip("\n"), most))
    if result.stderr.strip():
        parts.append("stderr:\n" + clip(result.stderr.rstrip("\n"), most // STDERR_SHARE))
    if result.value is not None:
        parts.append(f"Value: {clip(result.value, most // 2)}")
    if result.error:
        parts.append(clip(result.error, most // 2))
    if result.exit_code:
        parts.append(f"Exit code {result.exit_code}.")
    parts += [line for line in (_ending(result, timeout), _files(result)) if line]
    return "\n".join(parts) or "Done; nothing was printed."


def clip(text: str, most: int) -> str:
    """Cut the middle out of a long text and say how much is missing."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    missing = len(text) - head - tail
    return f"{text[:head]}\n… {missing} characters left out …\n{text[-tail:]}"


def _ending(result: ExecResult, timeout: float) -> str:
    match result.status:
        case "ok" | "error":
            words = f"Note: {result.detail}." if result.detail and not result.state_lost else ""
        case "timeout":
            words = f"Stopped: it did not finish within {timeout:g} seconds."
        case "cancelled":
            words = "Stopped: it was cancelled."
        case "crashed":
            what = "Python process" if result.exit_code is None else "shell"
            words = f"The {what} ended: {result.detail}."
    if result.state_lost:
        why = f" ({result.detail})" if result.detail and result.status != "crashed" else ""
        lost = (
            f"State lost{why}: all variables and imports from before are gone; files in the "
            "current directory are still there."
        )
        return f"{words} {lost}".strip()
    return words if result.status in ("ok", "error") else f"{words} Variables are kept."


def _files(result: ExecResult) -> str:
    lines: list[str] = []
    if result.artifacts:
        names = ", ".join(f"{file.name} ({size(len(file.data))})" for file in result.artifacts)
        lines.append(f"Files handed to the user: {names}.")
    if result.skipped:
        kept = "; ".join(f"{name} ({reason})" for name, reason in result.skipped)
        lines.append(f"Files not handed over: {kept}.")
    return "\n".join(lines)


def size(count: int) -> str:
    """Return a number of bytes in the unit that people read."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.0f} KB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MB"
