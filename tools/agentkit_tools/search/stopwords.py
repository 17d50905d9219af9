"""Words that carry no subject, dropped from queries only; written as the tokenizer folds them.

Words that mean something in another of these languages are left out: German "mit" is a licence,
"war" is a war, Spanish "sin" a function.
"""

from __future__ import annotations

ENGLISH = """
a about an and any are as at be been but by can could did do does for from give had has have
how i if in into is it its me my of on or our please say should so some tell than that the
their them then there these they this those to was we were what when where which who whom
whose why will with would you your
"""
FRENCH = """
a au aux avec ce ces cet cette comment dans de des donc du elle elles en est et eux il ils je la
le les leur leurs lui ma mais mes mon ne nos notre nous on ou par pas quand que quel quelle
quelles quels qui quoi sa sans se ses sont sur ta tes toi tu un une vos votre vous y
"""
SPANISH = """
al como con cual cuales cuando cuanto cuantos de del donde el ella ellas ellos en entre es esa
ese eso esta este esto estos estas la las le les lo los mas me mi muy no nos o para pero por
que quien se segun ser si sobre su sus tiene un una uno unos y ya
"""
GERMAN = """
als am an auch auf aus bei das dass dem den der des die ein eine einem einen einer es fur ich
ihr im in ist nach nicht oder sich sie sind und uber um von was welche wer wie wir wo zu
zum zur
"""
RUSSIAN = """
а без бы был была были было быть в вам вас весь во вот все вы где да для до его ее если есть еще
же за и из или им их к как какая какие какой каков какова когда кто ли между мне мы на над не нет
ни но о об он она они оно от по под при с сколько со так также то у что чем эта эти это этот я
"""
CHINESE = """
什么 怎么 如何 多少 哪些 哪个 哪里 是否 为什 请问 的是 是多 是什 有哪 有什 吗 呢 的 是 了
"""

STOP_WORDS = frozenset(
    word for words in (ENGLISH, FRENCH, SPANISH, GERMAN, RUSSIAN, CHINESE) for word in words.split()
)
"""Folded words and Chinese character pairs."""
