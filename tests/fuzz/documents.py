"""JSON documents and protobuf messages changed where a reader would have to notice."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from fuzz.mutations import interesting
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

TEXTS = ("", "x" * 5000, "\x1b[2J", "a\nb", "../../x", "/dev/zero", "\0", "é", "nan", "0" * 64)
INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
FLOATS = (0.0, -0.0, -1.0, 1e-45, 1e38, float("inf"), float("nan"))


def changed_json(text: str, chance: random.Random) -> str:
    """The document with one to three values or keys changed, perhaps a key twice."""
    document = json.loads(text)
    for _ in range(chance.choice((1, 1, 3))):
        places = list(_places(document))
        if not places:
            break
        holder, key = chance.choice(places)
        match chance.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[chance.choice(TEXTS)] = holder.pop(key)
            case 2:
                other, other_key = chance.choice(places)
                holder[key] = json.loads(json.dumps(other[other_key]))
            case _:
                holder[key] = _json_value(chance)
    changed = json.dumps(document)
    if chance.random() < 0.1:
        changed = changed.replace("{", '{"rows": 3, ', 1)
    if chance.random() < 0.1:
        digits = chance.choice((20, 400, 4001, 5000))
        changed = changed.replace("[1", f"[1{'0' * digits}").replace(": 1", f": 1{'0' * digits}")
    return changed


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every dictionary or list with each of its keys."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _json_value(chance: random.Random) -> Any:
    nested: Any = []
    for _ in range(chance.choice((1, 50, 500))):
        nested = [nested]
    number = interesting(chance)
    return chance.choice(
        (number, number, 10**4000, 1e308, 0.5, True, None, chance.choice(TEXTS), nested, {}, [])
    )


def changed_message(message: Message, chance: random.Random) -> None:
    """Changes one to three fields, anywhere in it."""
    for _ in range(chance.choice((1, 1, 3))):
        messages = list(_messages(message))
        # Half of the time near the top, where there are few.
        part = chance.choice(messages[: chance.choice((10, len(messages)))])
        _change_field(part, chance.choice(part.DESCRIPTOR.fields), messages, chance)


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if isinstance(value, Message) else value:
                yield from _messages(part)


def _change_field(
    part: Message, field: FieldDescriptor, messages: list[Message], chance: random.Random
) -> None:
    value = getattr(part, field.name)
    if isinstance(value, Message):
        if chance.random() < 0.3:
            part.ClearField(field.name)
        else:
            value.CopyFrom(_copy(chance.choice(_like(value, messages))))
    elif not hasattr(value, "append"):  # not repeated
        setattr(part, field.name, _scalar(field, value, messages, chance))
    elif chance.random() < 0.5 and len(value):
        match chance.randrange(3):
            case 0:
                del value[chance.randrange(len(value))]
            case 1:
                value.extend([*map(_copy, value)] * chance.choice((1, 1, 20)))
            case _:
                order = [*map(_copy, value)]
                chance.shuffle(order)
                part.ClearField(field.name)
                getattr(part, field.name).extend(order)
    elif field.message_type is not None:
        other = chance.choice(_like(value.add(), messages))
        value.add().CopyFrom(_copy(other))
    else:
        old = value.pop() if len(value) else None
        value.append(_scalar(field, old, messages, chance))


def _copy(value: Any) -> Any:
    """A message copied, since one that lies in what is overwritten would be gone."""
    return copy.deepcopy(value) if isinstance(value, Message) else value


def _like(value: Message, messages: list[Message]) -> list[Message]:
    """Those of the same kind."""
    return [m for m in messages if m.DESCRIPTOR is value.DESCRIPTOR] or [value]


def _scalar(
    field: FieldDescriptor, old: Any, messages: list[Message], chance: random.Random
) -> Any:
    """Another value of a field: an odd one, or one that another message has there."""
    others = [getattr(m, field.name) for m in messages if m.DESCRIPTOR is field.containing_type]
    others = [o for o in others if type(o) is type(old) and o != old]
    if others and chance.random() < 0.5:
        return chance.choice(others)
    if field.cpp_type in INTEGERS:
        low, high = INTEGERS[field.cpp_type]
        return max(low, min(high, interesting(chance)))
    if field.cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return chance.choice(FLOATS)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return chance.random() < 0.5
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return chance.choice(list(field.enum_type.values_by_number))
    text = chance.choice(TEXTS)
    return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
