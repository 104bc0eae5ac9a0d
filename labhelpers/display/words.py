"""Numbers and counts, written the way a person would."""


def number(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits, and from 1,000 up in full: 0.123, 74,498."""
    short = f"{value:.{digits}g}"
    return f"{value:,.0f}" if 1000 <= abs(float(short)) < 1e12 else short


def counted(count: int, thing: str) -> str:
    """Write how many there are: 1 day, 3 days."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
