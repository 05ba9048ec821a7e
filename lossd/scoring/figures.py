"""Numbers as people read them, and strings of users made safe to draw."""

import math
from typing import Any

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"


def number(value: Any) -> float:
    """A number of a summary, where NaN and the infinities are strings and a missing one is null."""
    return math.nan if value is None else float(value)


def figure(value: Any, digits: int = 6) -> str:
    """A number with thousands apart: whole ones in full, others with some significant digits.

    >>> figure(1234567), figure(0.123456789), figure(2.5e7), figure("NaN")
    ('1,234,567', '0.123457', '25,000,000', 'NaN')
    """
    if value is None:
        return DASH
    if isinstance(value, int):
        return f"{value:,}".replace("-", MINUS)
    x = float(value)
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "∞" if x > 0 else MINUS + "∞"
    whole = 10**digits <= abs(x) < 1e15
    text = f"{x:,.0f}" if whole else f"{x:,.{digits}g}"
    base, e, exponent = text.partition("e")
    return (base + (f"e{int(exponent)}" if e else "")).replace("-", MINUS)


def brief(value: float, digits: int = 3) -> str:
    """A number for a chart, where there is little room.

    >>> brief(0.12345), brief(98765.4), brief(123456789.0)
    ('0.123', '98,765', '1.23e8')
    """
    whole = 1000 <= abs(value) < 1e6
    text = f"{value:,.0f}" if whole else f"{value:.{digits}g}"
    base, e, exponent = text.partition("e")
    return (base + (f"e{int(exponent)}" if e else "")).replace("-", MINUS)


def share(value: Any) -> str:
    """A share of one in percent.

    >>> share(0.98765).split()
    ['98.77', '%']
    """
    x = number(value)
    return DASH if math.isnan(x) else f"{x:.2%}".replace("%", "\N{NO-BREAK SPACE}%")


def size(count: Any) -> str:
    """A number of bytes.

    >>> size(1536).split()
    ['1.5', 'KiB']
    """
    x, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while x >= 1024 and len(units) > 1:
        x /= 1024
        units.pop(0)
    return f"{x:.4g}\N{NO-BREAK SPACE}{units[0]}"


def seconds(value: Any) -> str:
    """A time.

    >>> seconds(75.2), seconds(7322)
    ('1 min 15 s', '2 h 2 min')
    """
    x = float(value)
    if x < 60:
        return f"{x:.3g}\N{NO-BREAK SPACE}s"
    minutes, rest = divmod(round(x), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def short(count: int) -> str:
    """A count for a narrow place.

    >>> short(9876), short(12345), short(3_456_789)
    ('9876', '12k', '3.5M')
    """
    if count < 10_000:
        return str(count)
    return f"{count / 1000:.0f}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"


def plain(text: Any, width: int = 24) -> str:
    """A user's string for a chart: one line, printable, not wider than some characters."""
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return printable if len(printable) <= width else printable[: width - 1] + "…"
