"""The tables of docs/NUMERICS.md, section 4, between their markers."""

from __future__ import annotations

from tflm_train.ops import ALL, Params
from tflm_train.ops.fields import Member, Struct, members_of
from tflm_train.ops.tensors import Slot, slots_of

_BEGIN = "<!-- Written by `python -m tools.generate` from tflm_train/ops. -->\n"
_END = "<!-- End of what is written. -->\n"
_TYPES = {"int": "i", "float": "f"}


def numerics_page(page: str) -> str:
    """The page with its generated part made anew.

    Raises:
      ValueError: It has no markers.
    """
    head, _, rest = page.partition(_BEGIN)
    _, end, foot = rest.partition(_END)
    if not end:
        raise ValueError("docs/NUMERICS.md has no generated part")
    return head + _BEGIN + _tables() + _END + foot


def _tables() -> str:
    rows = ["| kind | op | inputs | outputs | fields after the header |", "|---|---|---|---|---|"]
    parts: dict[type[Struct], None] = {}
    for op in ALL:
        inputs, outputs = (_tensors(op, slots_of(cls)) for cls in (op.INPUTS, op.OUTPUTS))
        rows.append(f"| {op.KIND} | {op.OP} | {inputs} | {outputs} | {_fields(op)} |")
        _collect(op, parts)
    lines = [f"- {_part_name(part)}: {_fields(part)}" for part in parts]
    return "\n".join([*rows, "", *lines, ""])


def _collect(cls: type[Struct], parts: dict[type[Struct], None]) -> None:
    for member in members_of(cls):
        if issubclass(member.type, Struct):
            parts[member.type] = None
            _collect(member.type, parts)


def _part_name(cls: type[Struct]) -> str:
    name = cls.__name__.removesuffix("Fields")
    return "".join("_" + c if c.isupper() and i else c for i, c in enumerate(name)).upper()


def _tensors(op: type[Params], slots: tuple[Slot, ...]) -> str:
    return "<br>".join(_tensor(op, slot) for slot in slots)


def _tensor(op: type[Params], slot: Slot) -> str:
    spec = slot.spec
    kind = " or ".join(
        t for t in ("INT8", "UINT8", "INT16", "INT32", "FLOAT32") if _names(op, spec.type, t)
    )
    size = _expand(op, spec.size)
    shape = f"[{'at least ' if spec.at_least else ''}{size}]" if size else ""
    name = f"{slot.name}..." if slot.is_run else slot.name
    words = " ".join(part for part in (f"`{name}`", kind.lower(), shape) if part)
    if not slot.is_optional:
        return words
    return words + (
        " or -1" if spec.present == "FREE" else f" if {_expand(op, spec.present)}, else -1"
    )


def _names(op: type[Params], expression: str, name: str) -> bool:
    text = _expand(op, expression)
    return name in text.replace("U" + name, "") if not name.startswith("U") else name in text


def _expand(op: type[Params], expression: str) -> str:
    """An expression that is one of the op's named ones, written out."""
    text = op.TERMS.get(expression, expression)
    return text.replace("*", "\\*").replace("|", "\\|").replace("<<", "&lt;&lt;")


def _fields(cls: type[Struct]) -> str:
    return ", ".join(_field(member) for member in members_of(cls))


def _field(member: Member) -> str:
    count = f"[{member.count}]" if member.count else "..." if member.is_array else ""
    name = member.name if not member.is_array else member.name + count
    if issubclass(member.type, Struct):
        part = _part_name(member.type)
        words = part if part.lower() == member.name else f"{part} {name}"
    else:
        code = "u" if member.number.unsigned else _TYPES[member.type.__name__]
        words = f"{code} {name}"
    note = member.number.note
    return f"{words} ({note})" if note else words
