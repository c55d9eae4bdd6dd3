"""What is kept and what travels: events, commands, and the envelope that the log puts around an event.

The class name of an event is its stored type name. Renaming a class is therefore a change of the stored format.
A new optional field with a default is free: fields that this build does not know are ignored when an event is read.
Any other change raises ``version`` and adds one upcaster, a pure ``dict -> dict`` from the version before.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

Json = dict[str, Any]
"""A JSON object; this module and the database are the two places where values have no static type."""
Upcaster = Callable[[Json], Json]


class UnknownEvent(LookupError):
    """The log holds a type or version that this build does not know: the build is older than the data."""


class UnknownCommand(LookupError):
    """Somebody asked for what this build does not know: the build is older than the gateway."""


class Message(BaseModel):
    """A frozen value that travels or is kept."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def as_json(self) -> Json:
        """The value as JSON types: UUIDs and times as text."""
        return self.model_dump(mode="json")


class Event(Message):
    """A fact, named in the past tense. Holds ids, numbers, enums and UTC times; never a person's datum or a secret."""

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    upcasters: ClassVar[Mapping[int, Upcaster]] = {}
    types: ClassVar[dict[str, type["Event"]]] = {}
    """Every event type that has been imported, by its stored name."""

    def __init_subclass__(cls, *, version: int = 1, **kwargs: Any) -> None:
        """Register the type under its class name."""
        super().__init_subclass__(**kwargs)
        cls.name, cls.version = cls.__name__, version
        if cls.name in Event.types and Event.types[cls.name].__module__ != cls.__module__:
            message = f"two event types are named {cls.name}"
            raise TypeError(message)
        Event.types[cls.name] = cls

    @staticmethod
    def load(name: str, version: int, data: Json) -> "Event":
        """Decode a stored event, raised step by step to the version that this build declares.

        Raises UnknownEvent for a type or version from the future.
        """
        kind = Event.types.get(name)
        if kind is None or version > kind.version:
            message = f"{name} v{version}"
            raise UnknownEvent(message)
        for old in range(version, kind.version):
            data = kind.upcasters[old](data)
        return kind.model_validate(data)


class Command(Message):
    """A request in the imperative. One service carries it out or refuses it, and the verdict stands for ever after."""

    kinds: ClassVar[dict[str, type["Command"]]] = {}
    category: ClassVar[str] = ""
    """The category of the stream that it is about; the bus sends it to that category's writer."""
    expires: ClassVar[bool] = True
    """False: it waits for its service however long that is down (pause)."""
    overtakes: ClassVar[frozenset[str]] = frozenset()
    """Kinds of older commands of its target that it need not wait for, since the one changes nothing for the other."""

    command_id: UUID
    account_id: UUID

    def __init_subclass__(
        cls, *, category: str = "", expires: bool = True, overtakes: Collection[str] = (), **kwargs: Any
    ) -> None:
        """Register the kind under its class name."""
        super().__init_subclass__(**kwargs)
        cls.category, cls.expires, cls.overtakes = category or cls.category, expires, frozenset(overtakes)
        Command.kinds[cls.__name__] = cls

    @property
    def kind(self) -> str:
        """The name under which it is kept and dispatched."""
        return type(self).__name__

    @property
    def target(self) -> str:
        """The stream it is about: commands of one target are carried out in the order in which they were accepted."""
        return f"{self.category}-{self.account_id}"

    @classmethod
    def load(cls, kind: str, data: Json) -> "Command":
        """Decode a kept request. Raises UnknownCommand for a kind that this build does not know."""
        if kind not in Command.kinds:
            raise UnknownCommand(kind)
        return Command.kinds[kind].model_validate(data)


class Job(Message):
    """Work told to a service, at least once; the to-do row that told it is its memory, so it has no verdict."""

    kinds: ClassVar[dict[str, type["Job"]]] = {}

    account_id: UUID
    seen: int = 0
    """The log position that the teller had read: the handler waits until its own reader stands there."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register the kind under its class name."""
        super().__init_subclass__(**kwargs)
        Job.kinds[cls.__name__] = cls

    @classmethod
    def parse(cls, text: str) -> Self:
        """Decode what was told."""
        return cls.model_validate_json(text)


E_co = TypeVar("E_co", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Recorded(Generic[E_co]):
    """An event with what the log knows of it."""

    position: int
    """Commit order over the whole log; rises with gaps."""
    account_id: UUID
    stream: str
    version: int
    """1, 2, 3 ... within its stream."""
    cause: UUID
    """The command, message or timer that led to it; (cause, stream, ordinal) is unique."""
    ordinal: int
    business_at: datetime
    recorded_at: datetime
    event: E_co
    meta: Json = field(default_factory=dict[str, Any])

    @property
    def trace(self) -> str | None:
        """The traceparent of the work that recorded it, where spans of that are kept: its last bit says so."""
        trace: str = self.meta.get("traceparent", "")
        return trace if trace[-1:] in tuple("13579bdf") else None
