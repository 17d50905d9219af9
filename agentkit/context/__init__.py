"""The context: what the model is sent, as a fold over the log, and how it stays small."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkit.context.cache import PrefixBreak
    from agentkit.context.context import Context
    from agentkit.context.overflow import way_out
    from agentkit.context.policy import (
        POLICIES,
        Clear,
        Compact,
        ContextPolicy,
        Files,
        Offload,
        named,
    )
    from agentkit.context.reader import READ_RESULT, ResultReader, without_reader
    from agentkit.context.summarise import spent_on_summary
    from agentkit.context.transcript import Transcript, fold
    from agentkit.context.upkeep import Upkeep
    from agentkit.context.view import (
        ClearResults,
        CompactBefore,
        Edit,
        LoggedEdits,
        ResultView,
        View,
    )
    from agentkit.context.workspace import Workspace
else:
    from agentkit.late import late

    __getattr__, __dir__ = late(
        __name__,
        {
            "agentkit.context.cache": "PrefixBreak",
            "agentkit.context.context": "Context",
            "agentkit.context.overflow": "way_out",
            "agentkit.context.policy": "POLICIES Clear Compact ContextPolicy Files Offload named",
            "agentkit.context.reader": "READ_RESULT ResultReader without_reader",
            "agentkit.context.summarise": "spent_on_summary",
            "agentkit.context.transcript": "Transcript fold",
            "agentkit.context.upkeep": "Upkeep",
            "agentkit.context.view": "ClearResults CompactBefore Edit LoggedEdits ResultView View",
            "agentkit.context.workspace": "Workspace",
        },
    )

__all__ = [
    "POLICIES",
    "READ_RESULT",
    "Clear",
    "ClearResults",
    "Compact",
    "CompactBefore",
    "Context",
    "ContextPolicy",
    "Edit",
    "Files",
    "LoggedEdits",
    "Offload",
    "PrefixBreak",
    "ResultReader",
    "ResultView",
    "Transcript",
    "Upkeep",
    "View",
    "Workspace",
    "fold",
    "named",
    "spent_on_summary",
    "way_out",
    "without_reader",
]
