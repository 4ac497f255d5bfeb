"""The kinds of values that a configuration file may hold, and how errors name what is wrong with one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from stream_mix.config.addresses import parse_endpoint, parse_host_port, parse_seconds
from stream_mix.config.errors import NUMBER

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit")
    return text


def _bind(text: str) -> str:
    if text:
        parse_endpoint(text)
    return text


def _connect(text: str) -> str:
    parse_endpoint(text, bind=False)
    return text


def _auto(value: object, number: ValidatorFunctionWrapHandler) -> object:
    return value if value == "auto" else number(value)


def _http(text: str) -> str:
    if text:
        parse_host_port(text)
    return text


def distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    """The values, each of which may be there once. Raises ValueError."""
    if len(set(values)) < len(values):
        raise ValueError("a list without repetition")
    return values


# Numbers and truth values are strict: TOML has types, so text that looks like a number is an error.
Text = Annotated[str, Field(strict=True)]
Truth = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=1)]
Components = Annotated[
    Annotated[Count, Tag(NUMBER)] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(lambda value: "auto" if value == "auto" else NUMBER),
]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
# As many as the mixture takes (`spec.MOST_DEGREES`), which is not imported to read a file.
Degrees = Annotated[float, Field(strict=True, gt=0, le=1e6, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Name = Annotated[str, Field(strict=True), AfterValidator(_name)]
Bind = Annotated[str, Field(strict=True), AfterValidator(_bind)]
Connect = Annotated[str, Field(strict=True), AfterValidator(_connect)]
Http = Annotated[str, Field(strict=True), AfterValidator(_http)]
Seconds = Annotated[float, BeforeValidator(parse_seconds)]
if TYPE_CHECKING:
    PositiveOrAuto = float | Literal["auto"]
else:  # not a union, whose errors would be those of both of its halves
    # The serializer, too, would take it for a number, and warn.
    PositiveOrAuto = Annotated[Positive, WrapValidator(_auto), PlainSerializer(lambda value: value)]


class Section(BaseModel):
    """A table of the file: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def rule(message: str) -> PydanticCustomError:
    """Break a rule that spans several keys: the message says all of it."""
    return PydanticCustomError("rule", "{message}", {"message": message})
