"""Operators and formats whose result is bounded before it is computed.

The limits of memory and time would end such a run as well, but only after it has cost them.
"""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import collections
import datetime
import fractions
import operator
import re
from collections.abc import Callable
from typing import Any

MAX_BITS = 200_000
MAX_REPEATED = 8 * 1024 * 1024
MAX_WIDTH = 9999
_SEQUENCES = (str, bytes, list, tuple, collections.deque)


def power(base: Any, exponent: Any, modulus: Any = None) -> Any:
    """`base ** exponent`. Raises OverflowError for an integer of more than MAX_BITS bits."""
    if modulus is not None:
        if _bits(exponent) * _bits(modulus) > 100_000_000:
            raise OverflowError("the power is too large")
        return pow(base, exponent, modulus)
    if isinstance(exponent, int) and exponent > 0 and _bits(base) * exponent > MAX_BITS and _bits(base) > 1:
        raise OverflowError("the power is too large")
    return pow(base, exponent)


def shift(value: Any, places: Any) -> Any:
    """`value << places`. Raises OverflowError for an integer of more than MAX_BITS bits."""
    if isinstance(value, int) and isinstance(places, int) and value and places + _bits(value) > MAX_BITS:
        raise OverflowError("the shifted number is too large")
    return value << places


def times(left: Any, right: Any) -> Any:
    """`left * right`. Raises OverflowError for a number or a repetition that is too large."""
    _check_product(left, right)
    return left * right


def modulo(left: Any, right: Any) -> Any:
    """`left % right`. Raises ValueError for a text padded to more than MAX_WIDTH."""
    _check_percent(left, right)
    return left % right


def formatted(value: Any, spec: str = "") -> str:
    """`format(value, spec)`. Raises ValueError for a width over MAX_WIDTH."""
    if type(spec) is not str:
        raise TypeError("a format specification is a text")
    if isinstance(value, datetime.date | datetime.time):
        for match in _PADDED.finditer(spec):  # the rest is the caller's own text
            _check_digits(match[0])
    else:
        _check_digits(spec)
    return format(value, spec)


def inplace(sign: str, left: Any, right: Any) -> Any:
    """`left += right` and its kin, under the same bounds."""
    if sign == "*=":
        _check_product(left, right)
    elif sign == "%=":
        _check_percent(left, right)
    return _OPERATORS[sign](left, right)


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+=": operator.iadd,
    "-=": operator.isub,
    "*=": operator.imul,
    "/=": operator.itruediv,
    "//=": operator.ifloordiv,
    "%=": operator.imod,
    "**=": power,
    "<<=": shift,
    ">>=": operator.irshift,
    "|=": operator.ior,
    "&=": operator.iand,
    "^=": operator.ixor,
    "@=": operator.imatmul,
}


def _bits(value: Any) -> int:
    if isinstance(value, int):
        return value.bit_length()
    if isinstance(value, fractions.Fraction):
        return max(value.numerator.bit_length(), value.denominator.bit_length())
    return 0


def _check_product(left: Any, right: Any) -> None:
    if isinstance(left, int):
        if isinstance(right, int):
            if left.bit_length() + right.bit_length() > MAX_BITS:
                raise OverflowError("the product is too large")
            return
        left, right = right, left
    if isinstance(right, int) and type(left) in _SEQUENCES and len(left) * right > MAX_REPEATED:
        raise OverflowError(f"a repetition of more than {MAX_REPEATED} elements is not available here")


def _check_percent(left: Any, right: Any) -> None:
    if type(left) not in (str, bytes):
        return
    text = left if type(left) is str else left.decode("latin-1")
    for match in _CONVERSION.finditer(text):
        _check_digits(match[0])
    given = right if type(right) is tuple else (right,)
    if "*" in text and any(isinstance(part, int) and abs(part) > MAX_WIDTH for part in given):
        raise ValueError(f"a width over {MAX_WIDTH} is not available here")


_PADDED = re.compile(r"%[^a-zA-Z%]*")
_CONVERSION = re.compile(r"%(?:\([^()]*\))?[#0\- +]*[0-9]*(?:\.[0-9]*)?")


def _check_digits(text: str) -> None:
    for digits in re.findall(r"[0-9]{5,}", text):
        if int(digits[:9]) > MAX_WIDTH:
            raise ValueError(f"a width over {MAX_WIDTH} is not available here")
