"""Constraints: the sentences of a user's message that bind the agent, found by their words.

Found in English, Chinese and Russian by words of duty and prohibition. A short message needs no
search: the ledger keeps it whole.
"""

from __future__ import annotations

import re

_ENGLISH = re.compile(
    r"\b(must|never|always|shall|should|don'?t|do not|does not|cannot|can'?t|may not|only|"
    r"avoid|required?|requirements?|forbidden|prohibited|not allowed|mandatory|ensure|make sure|"
    r"at (?:most|least)|no more than|under no circumstances|without (?:asking|permission)|"
    r"refrain|keep|leave|instead of|remember|important)\b",
    re.IGNORECASE,
)
_RUSSIAN = re.compile(
    r"\b(должн[аоы]?|должен|обязательно|обязан[аоы]?|нельзя|никогда|всегда|запрещ\w+|только|"
    r"необходимо|нужно|надо|следует|не (?:использ\w+|меня\w+|измен\w+|удаля\w+|труд\w+|трога\w+|"
    r"дела\w+|добавля\w+|пиш\w+|остав\w+|допуска\w+|смей\w*|забуд\w+|забыва\w+)|без разрешения|"
    r"не (?:более|менее|больше|меньше)|важно)\b",
    re.IGNORECASE,
)
_CHINESE = re.compile(
    r"必须|不得|不要|不能|不可|不许|不准|不应|不允许|禁止|务必|切勿|请勿|严禁|只能|仅限|只允许|始终|"
    r"总是|永远|一定要|一律|确保|应当|应该|需要|避免|至少|至多|最多|不超过|记住|注意"
)
_SENTENCE = re.compile(r"[^\n。！？!?.;；]*(?:[.](?=\S)[^\n。！？!?.;；]*)*[。！？!?.;；]?")

LONGEST = 600
"""Characters of one constraint; a longer sentence is most likely no sentence at all."""
MOST = 60
"""Constraints taken from one message."""


def constraints(text: str) -> tuple[str, ...]:
    """Return the sentences of a text that bind, verbatim and in order, each once.

    Sentences end at a full stop followed by white space, at other end marks (Chinese ones too)
    and at line ends.
    """
    found: dict[str, None] = {}
    for match in _SENTENCE.finditer(text):
        sentence = match[0].strip(" \t*-•>#")
        if 6 <= len(sentence) <= LONGEST and is_binding(sentence):
            found.setdefault(sentence)
            if len(found) == MOST:
                break
    return tuple(found)


def is_binding(sentence: str) -> bool:
    """Return whether a sentence has a word of duty or prohibition."""
    return any(words.search(sentence) for words in (_ENGLISH, _RUSSIAN, _CHINESE))
