"""docs/readers.md: its snippets by their first line, and its sections."""
import re

from sidestream_test import ROOT

TEXT = (ROOT / "docs/readers.md").read_text()
BLOCKS = {m[2].lstrip("#- "): m[1] for m in re.finditer(r"^```\w+\n(([^\n]*)\n.*?)^```$", TEXT, re.M | re.S)}
SECTIONS = {m[1]: m[2] for m in re.finditer(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)}
ENGINES = {"duckdb": "DuckDB", "spark": "Spark", "java": "Avro for Java", "fastavro": "fastavro",
           "apache": "Avro for Python", "polars": "Polars"}


def snippet(name, table=None):
    """The snippet of that first line, of another table if wanted."""
    assert name in BLOCKS, f"docs/readers.md has no snippet {name!r}"
    return BLOCKS[name].replace("public.users", table or "public.users")


def says(engine, words):
    """The engine's section has these words (line breaks are spaces)."""
    return words in " ".join(SECTIONS[ENGINES[engine]].split())


def one_line(text):
    return " ".join(text.split())
