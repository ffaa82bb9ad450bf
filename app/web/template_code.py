"""What templates are compiled to: the same pages as Jinja's own code makes, in less than half the time.

Templates only see view models, whose values are attributes, and every environment speaks one language.
"""

import re
from collections.abc import Callable
from gettext import NullTranslations
from typing import Any, Final, cast

from jinja2 import Environment, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import InternationalizationExtension
from markupsafe import Markup, escape

TAKE_CONTEXT: Final = frozenset({"_", "gettext", "ngettext", "pgettext", "npgettext"})
"""The only functions in templates that are given the context."""

_SPECIAL: Final = re.compile(r"[&<>'\"]").search


def escaped(value: Any) -> str:
    """A value as HTML, as ``markupsafe.escape`` writes it.

    Most texts need no escaping; wrapping each of them as ``Markup``, only to join it, would take half of a page's time.
    """
    kind = type(value)
    if kind is Markup or (kind is str and not _SPECIAL(value)):
        return cast("str", value)
    return str(value) if kind is int else escape(value)


def called(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What a function makes of its arguments."""
    return function(*arguments, **named)


def _is_constant(call: nodes.Call) -> bool:
    """Whether a call is of one text that stands in the template."""
    return len(call.args) == 1 and isinstance(call.args[0], nodes.Const) and not call.kwargs


def _translated(environment: Environment, text: str) -> str:
    translations: NullTranslations = environment.translations  # type: ignore[attr-defined]
    return translations.gettext(text).replace("%%", "%")


class TemplateCode(CodeGenerator):
    """Writes a value out by :func:`escaped`, reads an attribute and calls a macro as Python does.

    ``Environment.getattr`` also tries items and makes up undefined values; here a name that a view lacks is an error
    either way. ``Context.call`` looks whether a function wants the context, which only translations do here.
    """

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        if frame.eval_ctx.volatile or not frame.eval_ctx.autoescape or finalize.src is not None:
            super()._output_child_pre(node, frame, finalize)
        else:
            self.write("environment.escaped(")

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:  # noqa: N802 - Jinja's name
        self.write("(")
        self.visit(node.node, frame)
        self.write(f").{node.attr}")

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:  # noqa: N802
        if isinstance(node.node, nodes.Name) and node.node.name == "_" and _is_constant(node):
            translated = _translated(self.environment, node.args[0].as_const())
            self.write(f"Markup({translated!r})")
            return
        if forward_caller or (isinstance(node.node, nodes.Name) and node.node.name in TAKE_CONTEXT):
            super().visit_Call(node, frame, forward_caller=forward_caller)
            return
        self.write("environment.called(")
        self.visit(node.node, frame)
        self.signature(node, frame)
        self.write(")")


class Translation(InternationalizationExtension):
    """``{% trans %}`` of a text without values, looked up when the template is compiled."""

    def _make_node(
        self,
        singular: str,
        plural: str | None,
        context: str | None,
        variables: dict[str, nodes.Expr],
        plural_expr: nodes.Expr | None,
        vars_referenced: bool,
        num_called_num: bool,
    ) -> nodes.Output:
        if plural is not None or context is not None or variables:
            return super()._make_node(
                singular, plural, context, variables, plural_expr, vars_referenced, num_called_num
            )
        return nodes.Output([nodes.TemplateData(_translated(self.environment, singular))])
