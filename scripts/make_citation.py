"""Write CITATION.cff from docs/papers.bib, the only place for bibliography.

python scripts/make_citation.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from explore import __version__

ROOT = Path(__file__).resolve().parents[1]
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
SOFTWARE = f"""\
# Written by scripts/make_citation.py from docs/papers.bib. Do not edit.
cff-version: 1.2.0
message: If you use explore, please cite it, and the papers whose methods you use.
title: explore
type: software
version: {__version__}
license: MIT
authors:
  - name: explore contributors
references:
"""


def entries(bibtex: str) -> Iterator[dict[str, str]]:
    """Yield the fields of each entry, with its ``kind`` and ``key``."""
    for kind, key, body in re.findall(r"^@(\w+)\{([^,]+),\n(.*?)\n\}", bibtex, re.DOTALL | re.M):
        fields = re.findall(r"^ *(\w+) *= *(.*?),?$", body, re.M)
        yield {"kind": kind, "key": key} | {name: plain(value) for name, value in fields}


def plain(value: str) -> str:
    """Return a BibTeX value without braces, with LaTeX umlauts as letters."""
    for letter, umlaut in zip("aouAOU", "äöüÄÖÜ", strict=True):
        value = value.replace(f'{{\\"{letter}}}', umlaut)
    return re.sub(r"[{}]", "", value).replace("--", "-")


def reference(entry: dict[str, str]) -> str:
    """Return one entry as an item of the ``references`` of a citation file."""
    authors = (name.split(", ") for name in entry["author"].split(" and "))
    article = entry["kind"] == "misc"
    lines = [
        f"  - type: {'article' if article else 'conference-paper'}",
        f'    title: "{entry["title"]}"',
        "    authors:",
        *(f"      - {{family-names: {last}, given-names: {first}}}" for last, first in authors),
        f"    year: {entry['year']}",
    ]
    if "month" in entry:
        lines.append(f"    month: {MONTHS.index(entry['month']) + 1}")
    if "booktitle" in entry:
        lines.append(f'    collection-title: "{entry["booktitle"]}"')
    if "pages" in entry:
        start, end = entry["pages"].split("-")
        lines += [f"    start: {start}", f"    end: {end}"]
    if article:
        lines.append("    status: preprint")
    lines.append(f"    url: {entry['url']}")
    lines.append(f'    identifiers: [{{type: other, value: "arXiv:{entry["eprint"]}"}}]')
    if "note" in entry:
        lines.append(f'    notes: "{entry["note"]}"')
    return "\n".join(lines) + "\n"


def citation(bibtex: str) -> str:
    """Return the citation file: the software, and all papers that are not only related."""
    papers = [entry for entry in entries(bibtex) if entry.get("keywords") != "related"]
    return SOFTWARE + "".join(map(reference, papers))


if __name__ == "__main__":
    text = citation((ROOT / "docs" / "papers.bib").read_text(encoding="utf-8"))
    (ROOT / "CITATION.cff").write_text(text, encoding="utf-8")
