"""Words by which a goal denies or limits something, and what a value may look like beside others of its kind.

The words are those of the languages people ask in most, without any claim to all of them; the form of a value is
compared without knowing a language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LIMITING = frozenset(
    """
    not no never except without unless only but if when until before after instead don dont doesn first last
    newest oldest cheapest other than least nicht kein keine keinen keiner nie niemals außer ausser ohne nur aber
    sondern wenn falls sofern bis bevor nachdem statt sin salvo excepto menos pero solo sólo nunca jamás ni cuando
    hasta sauf sans pas ne jamais seulement mais sinon quand aucun aucune non senza tranne eccetto soltanto mai
    quando não nao sem exceto mas só niet geen behalve zonder maar alleen tenzij не без кроме только если но bez
    oprócz tylko inte utan utom bara ikke uden kun
    """.split()
)
_UNSPACED = (
    *("不", "没", "沒", "别", "別", "勿", "除", "之外", "以外", "只", "仅", "僅", "しか", "ない", "なし", "だけ"),
    *("所有", "全部", "全員", "제외", "말고", "않"),
)
_JOINING = frozenset("and or und oder y o et ou e ed og och en и или".split())
_ANYBODY = frozenset(
    """
    nobody noone none everybody everyone anyone all niemand niemandem niemanden keinem alle allen jeder jedem
    nadie todos todas personne tous toutes nessuno tutti ninguém iedereen
    """.split()
)
_PARTICLES = frozenset("de da di del della der den dos das du la le el al van von bin ibn of".split())
_SENTENCE = 6  # words: a value of so many is a text of its own, and says what it likes
_LONGER = 2  # characters by which a value in a script without blanks may be longer than those before it


def limiting(text: str) -> frozenset[str]:
    """The words in a text that deny or limit something."""
    lowered = text.lower()
    return (LIMITING & frozenset(re.findall(r"\w+", lowered))) | {part for part in _UNSPACED if part in lowered}


def fits(text: str, examples: Sequence[str]) -> bool:
    """Whether a value may be one of the kind of these examples, rather than a value and what limits or joins it."""
    if not examples or text in examples:
        return True
    known = " ".join(examples)
    if max(len(example.split()) for example in examples) >= _SENTENCE:
        return True
    words = text.split()
    lowered = frozenset(re.findall(r"\w+", text)) & (_JOINING | _ANYBODY)
    if (limiting(text) - limiting(known) and (len(words) > 1 or _unspaced(text))) or lowered - set(known.split()):
        return False
    if any(sign in text and sign not in known for sign in (",", ";", "，", "、", "；")):
        return False
    if _unspaced(known):
        return len(text) <= max(map(len, examples)) + _LONGER
    if len(words) > 1 and all(word[:1].isupper() or word in _PARTICLES for word in known.split()):
        return not any(word[:1].islower() and word not in _PARTICLES for word in words)
    return True


def _unspaced(text: str) -> bool:
    """Whether a text is in a script that sets no blanks between words."""
    return re.search(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0e7f]", text) is not None
