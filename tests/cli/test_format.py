"""--format, tables and JSON."""

import json
from typing import Any

import pytest

from pyctr.cli import format as printing
from pyctr.cli.gofunctions import TemplateError

ROW = {
    "ID": "db17b8b23682",
    "Repository": "localhost/aa",
    "Names": ["localhost/aa:1", "localhost/b:latest"],
    "Labels": {"x": "1", "a.b": "2"},
    "Size": 1234,
    "ReadOnly": False,
    "Health": None,
    "Config": {"Env": ["A=1"], "Labels": {"x": "1"}, "User": ""},
}
COLUMNS = (("IMAGE ID", "ID"), ("REPOSITORY", "Repository"))

TEMPLATES = [
    ("{{.ID}}", "db17b8b23682"),
    ("{{ .ID }}", "db17b8b23682"),
    ("{{.ID}} {{.Size}} {{.ReadOnly}}", "db17b8b23682 1234 false"),
    (r"{{.ID}}\t{{.Size}}\n.", "db17b8b23682\t1234\n."),
    ("{{.id}}", "db17b8b23682"),
    ("{{.Names}} {{len .Names}}", "[localhost/aa:1 localhost/b:latest] 2"),
    ("{{.Labels}}", "map[a.b:2 x:1]"),
    ("{{.Labels.x}} {{.Labels.y}}", "1 <no value>"),
    ('{{index .Labels "a.b"}}|{{index .Labels "none"}}', "2|"),
    ('{{join .Names ", "}}', "localhost/aa:1, localhost/b:latest"),
    ("{{json .Labels}}", '{"x":"1","a.b":"2"}'),
    ('{{json "<&>"}} {{json .Health}}', '"<&>" null'),
    ("{{.Config.Env}} {{.Config.Labels.x}} {{(index .Names 1)}}", "[A=1] 1 localhost/b:latest"),
    ("{{range .Names}}{{.}};{{end}}", "localhost/aa:1;localhost/b:latest;"),
    ("{{range $i, $n := .Names}}{{$i}}={{$n}} {{end}}", "0=localhost/aa:1 1=localhost/b:latest "),
    ("{{range $k, $v := .Labels}}{{$k}}:{{$v}},{{end}}", "a.b:2,x:1,"),
    ("{{range .Config.User}}x{{else}}none{{end}}", "none"),
    ("{{if .ReadOnly}}ro{{else}}rw{{end}}", "rw"),
    ("{{if .ReadOnly}}a{{else if .Size}}b{{else}}c{{end}}", "b"),
    ("{{with .Config}}{{.Env}}{{$.ID}}{{end}}", "[A=1]db17b8b23682"),
    ('{{if and (eq .Size 1234) (ne .ID "x")}}yes{{end}}', "yes"),
    ('{{eq .ID "a" "db17b8b23682"}} {{lt .Size 5}} {{ge .Size 5}} {{not .Size}}', "true false true false"),
    ('{{or .Config.User "root"}}', "root"),
    ("{{.ID | upper | lower}} {{upper .Repository}}", "db17b8b23682 LOCALHOST/AA"),
    ("{{slice .ID 0 4}} {{truncate .ID 2}} {{len .ID}}", "db17 db 12"),
    ('{{printf "%-6s|%5d|%q|%v" "ab" .Size .ID .ReadOnly}}', 'ab    | 1234|"db17b8b23682"|false'),
    ("{{println .ID 3}}", "db17b8b23682 3\n"),
    ("a {{- .Size -}} b{{/* nothing */}}c", "a1234bc"),
    ("{{$x := .Size}}{{if true}}{{$x = 5}}{{end}}{{$x}}", "5"),
    ('{{"}}"}}{{`\\n`}}{{"\\n"}}', "}}\\n\n"),
    ("{{.Health}} {{.Health.Status}}", "<nil> <no value>"),
    ('{{range split "a,b" ","}}[{{.}}]{{end}}', "[a][b]"),
]


@pytest.mark.parametrize(("template", "text"), TEMPLATES)
def test_templates(template: str, text: str) -> None:
    assert printing.render(template, ROW) == text


BAD = [
    ("{{.Foo}}", "there is no field .Foo"),
    ("{{.Config.Foo}}", "there is no field .Foo"),
    ("{{.ID.Foo}}", "there is no field .Foo"),
    ("{{.ID", "not closed"),
    ("{{foo .ID}}", "function 'foo' does not exist"),
    ("{{if .ID}}", "no {{end}}"),
    ("{{end}}", "unexpected {{end}}"),
    ("{{index .Names 5}}", "index out of range"),
    ("{{.ID .Size}}", "used as a function"),
    ("{{$x}}", "undefined variable $x"),
    ("{{range .ID}}{{end}}", "range cannot visit"),
    ("{{len .Size}}", "len"),
    ("{{(.ID}}", "parenthesis"),
    ("{{.ID | }}", "missing"),
    ("{{?}}", "bad character"),
]


@pytest.mark.parametrize(("template", "message"), BAD)
def test_wrong_templates(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        printing.render(template, ROW)
    assert message in caught.value.message


def test_an_unknown_field_is_answered_with_those_there_are() -> None:
    with pytest.raises(TemplateError) as caught:
        printing.render("{{.Foo}}", ROW)
    assert ".ID, .Repository" in (caught.value.hint or "")


def printed(
    capsys: pytest.CaptureFixture[str], template: str | None, rows: list[Any], **options: Any
) -> str:
    printing.print_rows(rows, template, COLUMNS, **options)
    return capsys.readouterr().out


def test_a_table_has_podmans_widths(capsys: pytest.CaptureFixture[str]) -> None:
    text = "IMAGE ID      REPOSITORY\ndb17b8b23682  localhost/aa\n"
    assert printed(capsys, None, [ROW]) == text
    assert printed(capsys, "table {{.ID}} {{.Repository}}", [ROW]) == text
    assert printed(capsys, r"table {{.ID}}\t{{.Repository}}", [ROW]) == text
    assert printed(capsys, "table", [ROW]) == text


def test_narrow_columns_are_twelve_wide(capsys: pytest.CaptureFixture[str]) -> None:
    printing.print_rows([], None, (("TAG", "Tag"), ("SIZE", "Size")))
    assert capsys.readouterr().out == "TAG         SIZE\n"


def test_no_heading(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, None, [ROW], noheading=True) == "db17b8b23682  localhost/aa\n"
    assert printed(capsys, "table {{.Size}}", [ROW], noheading=True) == "1234\n"


def test_headings_of_fields_that_are_no_columns(capsys: pytest.CaptureFixture[str]) -> None:
    row = {**ROW, "CreatedAt": "now"}
    text = printed(capsys, "table {{.CreatedAt}} {{.Size}} {{range .Names}}{{.}} {{end}}", [row])
    assert text.splitlines()[0].split() == ["CREATED", "AT", "SIZE", "NAMES"]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    for template in ("json", "{{json .}}", "{{ json . }}"):
        assert json.loads(printed(capsys, template, [ROW, ROW])) == [ROW, ROW]
    assert printed(capsys, "json", []) == "[]\n"
    assert json.loads(printed(capsys, "json", [ROW], json_rows=[{"Id": 1}])) == [{"Id": 1}]
    assert printing.json_text(ROW) == json.dumps(ROW, indent=4, ensure_ascii=False)


def test_values_of_inspect(capsys: pytest.CaptureFixture[str]) -> None:
    printing.print_values([ROW, ROW], "{{.Size}}")
    assert capsys.readouterr().out == "1234\n1234\n"
    printing.print_values([ROW], None)
    assert json.loads(capsys.readouterr().out) == [ROW]


def test_hostile_text_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"ID": "a\x1b]0;owned\x07\nb", "Repository": "\u202egnp.exe\x9b31m\udc80é"}
    text = printed(capsys, None, [row])
    assert text.splitlines()[1:] == ["a\\x1b]0;owned\\x07\\nb  \\u202egnp.exe\\x9b31m\\udc80é"]
