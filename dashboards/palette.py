"""Colours that a colour-blind person can tell apart, and the words and marks beside them.

The colours are Okabe's and Ito's. Nothing is said by a colour alone: every state has a word,
and a mark of another shape.
"""

from grafana_foundation_sdk.models.dashboard import (
    DashboardRangeMapOptions,
    DashboardRegexMapOptions,
    DashboardSpecialValueMapOptions,
    RangeMap,
    RegexMap,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsConfig,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

from dashboards.words import Words

BLUE = "#0072B2"
SKY = "#56B4E9"
ORANGE = "#E69F00"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
GREEN = "#009E73"
GREY = "#999999"
PALETTE = frozenset({BLUE, SKY, ORANGE, VERMILLION, PURPLE, GREEN, GREY})

GOOD, WATCH, BAD, WORST, PLAIN = BLUE, ORANGE, VERMILLION, PURPLE, GREY
SEVERITY_COLOURS = (GOOD, WATCH, BAD, WORST)
"""Of 0 none, 1 warning, 2 critical, 3 emergency."""


def steps(first: str, *further: tuple[float, str]) -> ThresholdsConfig:
    """Return thresholds: a colour from minus infinity on, then from each value on."""
    return ThresholdsConfig(
        mode=ThresholdsMode.ABSOLUTE,
        steps=[
            Threshold(color=first),
            *(Threshold(value=value, color=colour) for value, colour in further),
        ],
    )


ANY_IS_BAD = steps(GOOD, (1, BAD))
ANY_IS_TO_WATCH = steps(GOOD, (1, WATCH))
NEUTRAL = steps(GOOD)
BY_SEVERITY = steps(GOOD, (1, WATCH), (2, BAD), (3, WORST))


def values(words: dict[str, tuple[str, str]]) -> list[ValueMapping]:
    """Return a mapping of values to a word and a colour."""
    return [
        ValueMap(
            options={
                value: ValueMappingResult(text=text, color=colour, index=index)
                for index, (value, (text, colour)) in enumerate(words.items())
            }
        )
    ]


def severities(say: Words) -> list[ValueMapping]:
    """Return the words of 0 to 3, each with its mark."""
    return values(
        {
            str(number): (say(f"severity.{number}"), colour)
            for number, colour in enumerate(SEVERITY_COLOURS)
        }
    )


def yes_no(say: Words, key: str, *, yes: str, no: str = GOOD) -> list[ValueMapping]:
    """Return the words of 1 and 0: `{key}.yes` and `{key}.no`."""
    return values({"1": (say(f"{key}.yes"), yes), "0": (say(f"{key}.no"), no)})


def truths(say: Words, key: str, *, yes: str, no: str = GOOD) -> list[ValueMapping]:
    """Return the words of true and false."""
    return values({"true": (say(f"{key}.yes"), yes), "false": (say(f"{key}.no"), no)})


def family(say: Words, name: str) -> list[ValueMapping]:
    """Return the words of a family of ours, without a colour: what has none stays itself."""
    return [
        ValueMap(
            options={
                value: ValueMappingResult(text=text, index=index)
                for index, (value, text) in enumerate(say.family(name).items())
            }
        )
    ]


def span(start: float | None, end: float | None, text: str, colour: str) -> ValueMapping:
    """Return the word of all values of a range; None is without an end."""
    return RangeMap(
        options=DashboardRangeMapOptions(
            from_val=start, to=end, result=ValueMappingResult(text=text, color=colour)
        )
    )


def first_part(end: str) -> ValueMapping:
    """Return what shows of a text only what stands before `end`."""
    return RegexMap(
        options=DashboardRegexMapOptions(
            pattern=f"/^(.*){end}.*$/", result=ValueMappingResult(text="$1")
        )
    )


def missing(text: str) -> ValueMapping:
    """Return the word of a value that is not there."""
    return SpecialValueMap(
        options=DashboardSpecialValueMapOptions(
            match=SpecialValueMatch.NULL,
            result=ValueMappingResult(text=text, color=PLAIN),
        )
    )
