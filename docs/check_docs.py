#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks README.md, CHANGELOG.md, docs/**/*.md and bench/**/*.md.

usage: check_docs.py snippets|links|traps ROOT

snippets: each ```cpp block is, but for its indentation, a region of a file in docs/examples: the lines between
          `// [name]` and `// [end]`.
links:    each relative link leads to a file, and its #anchor to a heading of that file.
traps:    each number in docs/guide/traps.md is the tag of a test, each such tag is listed there, and a test that is called
          "trap T1: …" has the tag.
"""
import pathlib
import re
import sys
import textwrap


def pages(root):
    return [root / "README.md", root / "CHANGELOG.md", *sorted(root.glob("docs/**/*.md")), *sorted(root.glob("bench/**/*.md"))]


def regions(root):
    found = {}
    for source in sorted(root.glob("docs/examples/*.[ch]pp")):
        for match in re.finditer(r"^ *// \[(\w+)\]\n(.*?)^ *// \[end\]$", source.read_text(), re.M | re.S):
            name, text = match.groups()
            if name != "end":
                found[textwrap.dedent(text)] = f"{source.name} [{name}]"
    return found


def snippets(root):
    known = regions(root)
    wrong, used = [], set()
    for page in pages(root):
        text = page.read_text()
        for match in re.finditer(r"^```cpp\n(.*?)^```$", text, re.M | re.S):
            code = match.group(1)
            if code in known:
                used.add(known[code])
            else:
                line = text.count("\n", 0, match.start()) + 1
                wrong.append(f"{page.relative_to(root)}:{line}: this block is no region of docs/examples")
    for unused in sorted(set(known.values()) - used):
        print(f"note: no page shows {unused}")
    return wrong, len(used)


def anchor(heading):
    """GitHub's: lower case, without punctuation, blanks as hyphens."""
    text = re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", ""))
    return text.replace(" ", "-")


def anchors(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    return {anchor(heading) for heading in re.findall(r"^#+ +(.*)$", text, re.M)}


def links(root):
    wrong, checked = [], 0
    for page in pages(root):
        text = re.sub(r"^```.*?^```$", lambda block: "\n" * block.group(0).count("\n"), page.read_text(), flags=re.M | re.S)
        for match in re.finditer(r"\]\(([^)\s]+)\)", text):
            link = match.group(1)
            if re.match(r"[a-z]+:", link):
                continue
            checked += 1
            path, _, fragment = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            line = text.count("\n", 0, match.start()) + 1
            if not target.exists():
                wrong.append(f"{page.relative_to(root)}:{line}: {link} leads nowhere")
            elif fragment and target.suffix == ".md" and fragment not in anchors(target):
                wrong.append(f"{page.relative_to(root)}:{line}: {link}: there is no such heading")
    return wrong, checked


def traps(root):
    listed = set(re.findall(r"^\| (T\d+) \|", (root / "docs/guide/traps.md").read_text(), re.M))
    tested, wrong = set(), []
    for source in sorted(root.glob("test/**/*.cpp")):
        for name, tags in re.findall(r'TEST_CASE\(\s*"([^"]*)",\s*"([^"]*)"', source.read_text()):
            has = set(re.findall(r"\[(T\d+)\]", tags))
            tested |= has
            wrong += [f"{source.relative_to(root)}: '{name}' lacks the tag [{one}]"
                      for one in sorted(set(re.findall(r"\btrap (T\d+)", name)) - has)]
    wrong += [f"docs/guide/traps.md: no test has the tag [{one}]" for one in sorted(listed - tested)]
    wrong += [f"docs/guide/traps.md: {one}, which a test has for a tag, is not listed" for one in sorted(tested - listed)]
    return wrong, len(listed & tested)


def main():
    check = {"snippets": snippets, "links": links, "traps": traps}[sys.argv[1]]
    wrong, right = check(pathlib.Path(sys.argv[2]))
    for line in wrong:
        print(line)
    print(f"{sys.argv[1]}: {right} fine, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
