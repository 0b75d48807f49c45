"""The part of Go's text/template that `--format` users write, evaluated on dicts, lists and scalars.

Fields (`.A.B`, `$x.A`), literals, pipelines, variables, parentheses, if/else/with/range, comments, trim
markers and the functions of `FUNCTIONS`. A field that does not exist is an error that names the fields
there are, except in maps of the user's own keys (labels), where it prints `<no value>` as in Go. Source:
the documentation of text/template.
"""

from pyctr.cli import gofunctions
from pyctr.cli.gofunctions import NO_VALUE, TemplateError, go_text, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Node = Callable[["Scope"], Any]
    Token = tuple[str, str, bool]  # kind, text, glued to the token before it

# Fields whose value is a map with keys of the user's.
OPEN_MAPS = frozenset(
    ("Labels", "Annotations", "Ports", "ExposedPorts", "Volumes", "Networks", "Options", "Data")
)
PUNCTUATION = "()|,"
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "a": "\a", "b": "\b", "0": "\0"}


class Template:
    """A parsed template; `render` gives its text for one value."""

    def __init__(self, text: str) -> None:
        self.pieces = split(text)
        self.at = 0
        self.body, ending = self.block()
        if ending:
            raise TemplateError(f"unexpected {{{{{ending[0][1]}}}}}")

    def render(self, value: "Any") -> str:
        """The text. TemplateError when the value does not have what the template asks for."""
        scope = Scope(value)
        scope.names["$"] = value
        return "".join([go_text(node(scope)) for node in self.body])

    def block(self) -> "tuple[list[Node], list[Token]]":
        """The nodes up to an `else` or `end`, and that action; no action at the end of the text."""
        nodes: list[Node] = []
        while self.at < len(self.pieces):
            kind, piece = self.pieces[self.at]
            self.at += 1
            if kind == "text":
                nodes.append(constant(piece))
                continue
            tokens = tokenize(piece)
            word = tokens[0][1] if tokens and tokens[0][0] == "name" else ""
            if word in ("else", "end"):
                return nodes, tokens
            if word in ("if", "with", "range"):
                nodes.append(self.control(word, tokens[1:]))
            elif word in ("define", "template", "block", "break", "continue"):
                raise TemplateError(f"{{{{{word}}}}} is not supported")
            elif tokens:
                nodes.append(Pipeline(tokens).action())
        return nodes, []

    def control(self, word: str, tokens: "list[Token]") -> "Node":
        """if, with or range, with what belongs to it."""
        pipeline = Pipeline(tokens)
        condition = pipeline.value()
        body, ending = self.block()
        otherwise: list[Node] = []
        if ending and ending[0][1] == "else":
            if len(ending) > 1:
                otherwise = [self.control(ending[1][1], ending[2:])]
                return CONTROLS[word](condition, pipeline.declared, body, otherwise)
            otherwise, ending = self.block()
        if not ending or ending[0][1] != "end":
            raise TemplateError(f"{{{{{word}}}}} has no {{{{end}}}}")
        return CONTROLS[word](condition, pipeline.declared, body, otherwise)


class Scope:
    """What `.` is, and the variables that are declared here or further out."""

    def __init__(self, dot: "Any", outer: "Scope | None" = None) -> None:
        self.dot = dot
        self.outer = outer
        self.names: dict[str, Any] = {}

    def home(self, name: str) -> "Scope":
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope
            scope = scope.outer
        raise TemplateError(f"undefined variable {name}")


def run(nodes: "list[Node]", scope: Scope) -> str:
    return "".join([go_text(node(scope)) for node in nodes])


def constant(value: "Any") -> "Node":
    return lambda _scope: value


def make_if(condition: "Node", declared: "list[str]", body: "list[Node]", otherwise: "list[Node]") -> "Node":
    def node(scope: Scope) -> str:
        inner = Scope(scope.dot, scope)
        value = condition(inner)
        for name in declared:
            inner.names[name] = value
        return run(body if truth(value) else otherwise, inner)

    return node


def make_with(
    condition: "Node", declared: "list[str]", body: "list[Node]", otherwise: "list[Node]"
) -> "Node":
    def node(scope: Scope) -> str:
        value = condition(scope)
        inner = Scope(value if truth(value) else scope.dot, scope)
        for name in declared:
            inner.names[name] = value
        return run(body if truth(value) else otherwise, inner)

    return node


def make_range(
    condition: "Node", declared: "list[str]", body: "list[Node]", otherwise: "list[Node]"
) -> "Node":
    def node(scope: Scope) -> str:
        entries = gofunctions.entries(condition(scope))
        text = []
        for key, value in entries:
            inner = Scope(value, scope)
            inner.names.update(zip(declared, (key, value) if len(declared) > 1 else (value,), strict=False))
            text.append(run(body, inner))
        return "".join(text) if entries else run(otherwise, scope)

    return node


CONTROLS = {"if": make_if, "with": make_with, "range": make_range}


class Pipeline:
    """Parses the tokens of one action: `$x := command | command ...`."""

    def __init__(self, tokens: "list[Token]") -> None:
        self.tokens = tokens
        self.at = 0
        self.declared: list[str] = []
        self.assigned = ""
        operators = [at for at, token in enumerate(tokens) if token[0] == "assign"]
        if operators:
            names = [text for kind, text, _ in tokens[: operators[0]] if kind == "variable"]
            if tokens[operators[0]][1] == "=":
                self.assigned = names[0] if names else ""
            else:
                self.declared = names
            self.at = operators[0] + 1

    def value(self) -> "Node":
        """The node that gives the value of the whole pipeline."""
        node = self.pipe()
        if self.at < len(self.tokens):
            raise TemplateError(f"unexpected {self.tokens[self.at][1]!r}")
        return node

    def action(self) -> "Node":
        """The node that prints the pipeline, or sets its variable."""
        node = self.value()
        if not self.declared and not self.assigned:
            return node

        def assign(scope: Scope) -> str:
            value = node(scope)
            for name in self.declared:
                scope.names[name] = value
            if self.assigned:
                scope.home(self.assigned).names[self.assigned] = value
            return ""

        return assign

    def peek(self) -> "Token":
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "", False)

    def pipe(self) -> "Node":
        node = self.command(None)
        while self.peek()[1] == "|" and self.peek()[0] == "mark":
            self.at += 1
            node = self.command(node)
        return node

    def command(self, piped: "Node | None") -> "Node":
        """A function with its arguments, or one operand; a value that was piped in is the last argument."""
        kind, name, _ = self.peek()
        if kind == "name" and name not in LITERALS:
            if name not in gofunctions.FUNCTIONS:
                raise TemplateError(f"function {name!r} does not exist", gofunctions.KNOWN)
            self.at += 1
            arguments = self.operands()
            return call(name, arguments if piped is None else [*arguments, piped])
        operands = self.operands()
        if kind == "field" and len(operands) > 1 and piped is None:
            return method(operands[0], operands[1:])
        if len(operands) != 1 or piped is not None:
            raise TemplateError("a value is used as a function" if operands else "a command is missing")
        return operands[0]

    def operands(self) -> "list[Node]":
        nodes = []
        while (
            self.peek()[0] in ("dot", "field", "variable", "text", "number", "name") or self.peek()[1] == "("
        ):
            nodes.append(self.operand())
        return nodes

    def operand(self) -> "Node":
        kind, text, _ = self.peek()
        self.at += 1
        if text == "(" and kind == "mark":
            node = self.pipe()
            if self.peek()[1] != ")":
                raise TemplateError("a closing parenthesis is missing")
            self.at += 1
            return self.chained(node, [])
        if kind == "field":
            return self.chained(lambda scope: scope.dot, [text])
        if kind == "variable":
            return self.chained(lambda scope: scope.home(text).names[text], [])
        return single(kind, text)

    def chained(self, start: "Node", names: "list[str]") -> "Node":
        """`start` followed by the fields that are glued to it."""
        while self.peek()[0] == "field" and self.peek()[2]:
            names.append(self.peek()[1])
            self.at += 1
        return (lambda scope: lookup(start(scope), names)) if names else start


LITERALS = {"true": True, "false": False, "nil": None}


def single(kind: str, text: str) -> "Node":
    """An operand of one token: `.`, a literal, or a function without arguments."""
    if kind == "dot":
        return lambda scope: scope.dot
    if kind == "text":
        return constant(text)
    if kind == "number":
        return constant(number(text))
    if text in LITERALS:
        return constant(LITERALS[text])
    return call(text, [])


def number(text: str) -> "int | float":
    for convert in (lambda: int(text, 0), lambda: float(text)):
        try:
            return convert()
        except ValueError:
            pass
    raise TemplateError(f"bad number {text}")


def call(name: str, arguments: "list[Node]") -> "Node":
    function = gofunctions.FUNCTIONS.get(name)
    if function is None:
        raise TemplateError(f"function {name!r} does not exist", gofunctions.KNOWN)

    def node(scope: Scope) -> "Any":
        try:
            return function(*[argument(scope) for argument in arguments])
        except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            raise TemplateError(f"{name}: {error}") from None

    return node


def method(function: "Node", arguments: "list[Node]") -> "Node":
    """A field that is called with arguments, as `.Label "key"` of ps; in a heading it is a field like
    others.
    """

    def node(scope: Scope) -> "Any":
        value = function(scope)
        if isinstance(value, gofunctions.Heading):
            return value
        if not callable(value):
            raise TemplateError("a value is used as a function")
        return value(*[argument(scope) for argument in arguments])

    return node


def lookup(value: "Any", names: "list[str]") -> "Any":
    """The field of a field of ... `value`."""
    owner = ""
    for name in names:
        value = field(value, name, owner)
        owner = name
    return value


def field(value: "Any", name: str, owner: str) -> "Any":
    """One field; the case of its letters matters only when two fields differ in nothing else."""
    if isinstance(value, gofunctions.Heading):
        return value.field(name)
    if isinstance(value, dict):
        if name in value:
            return value[name]
        if owner in OPEN_MAPS:
            return NO_VALUE
        folded = [key for key in value if key.lower() == name.lower()]
        if folded:
            return value[folded[0]]
        raise TemplateError(
            f"there is no field .{name}", "Fields: " + ", ".join([f".{key}" for key in value])
        )
    if value is None or value is NO_VALUE:
        return NO_VALUE
    raise TemplateError(f"there is no field .{name} in {go_text(value)!r}")


def split(text: str) -> "list[tuple[str, str]]":
    """The pieces of a template: ("text", words) and ("action", what stands between the braces)."""
    pieces = []
    trim = False
    while text:
        before, braces, rest = text.partition("{{")
        if trim:
            before = before.lstrip()
        if rest[:2] in ("- ", "-\t", "-\n"):
            before, rest = before.rstrip(), rest[1:]
        if before:
            pieces.append(("text", before))
        if not braces:
            break
        action, text, trim = action_end(rest)
        if not action.startswith("/*"):
            pieces.append(("action", action))
    return pieces


def action_end(rest: str) -> "tuple[str, str, bool]":
    """The action that `rest` begins with, the text after it, and whether that loses its leading blanks."""
    at, quote = 0, ""
    while at < len(rest):
        letter = rest[at]
        if quote:
            if letter == "\\" and quote != "`":
                at += 1
            elif letter == quote:
                quote = ""
        elif letter in "\"'`":
            quote = letter
        elif rest.startswith("}}", at):
            action, trim = rest[:at], rest[at - 2 : at] in (" -", "\t-", "\n-")
            return (action[:-1] if trim else action).strip(), rest[at + 2 :], trim
        at += 1
    raise TemplateError("an action is not closed with }}")


def tokenize(action: str) -> "list[Token]":
    """The tokens of an action."""
    tokens: list[Token] = []
    at = 0
    while at < len(action):
        if action[at].isspace():
            at += 1
            continue
        glued = at > 0 and not action[at - 1].isspace() and action[at - 1] not in "(|,="
        kind, text, at = token(action, at)
        tokens.append((kind, text, glued))
    return tokens


def token(action: str, at: int) -> "tuple[str, str, int]":
    """One token: its kind, its text, and where the next begins."""
    letter = action[at]
    if letter in "\"'`":
        return quoted(action, at)
    if letter in PUNCTUATION:
        return "mark", letter, at + 1
    if action.startswith(":=", at) or letter == "=":
        return "assign", action[at : at + 1 + (letter == ":")], at + 1 + (letter == ":")
    end = at + 1
    while end < len(action) and (action[end].isalnum() or action[end] == "_"):
        end += 1
    text = action[at:end]
    if letter == ".":
        return ("field", text[1:], end) if len(text) > 1 else ("dot", text, end)
    if letter == "$":
        return "variable", text, end
    if letter.isdigit() or letter in "+-":
        while end < len(action) and (action[end].isalnum() or action[end] == "."):
            end += 1
        return "number", action[at:end], end
    if letter.isalpha() or letter == "_":
        return "name", text, end
    raise TemplateError(f"bad character {letter!r}")


def quoted(action: str, at: int) -> "tuple[str, str, int]":
    """A string or character constant."""
    quote, text = action[at], []
    at += 1
    while at < len(action) and action[at] != quote:
        if action[at] == "\\" and quote != "`":
            at += 1
            text.append(ESCAPES.get(action[at : at + 1], action[at : at + 1]))
        else:
            text.append(action[at])
        at += 1
    return "text", "".join(text), at + 1
