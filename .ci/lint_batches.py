#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lint_batches.py BUILD_DIR OUT_DIR

Writes a compilation database for clang-tidy in which a module's files are one: what they include, which is most of the work, is
read once a module and not once a file. A file that brings a whole namespace into scope stays by itself.
"""
import collections
import json
import pathlib
import re
import sys

build, out = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
engine = pathlib.Path(__file__).resolve().parent.parent / "engine" / "millrace"

alone, modules, seen = [], collections.defaultdict(list), set()
for entry in json.loads((build / "compile_commands.json").read_text()):
    file = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
    if not file.is_relative_to(engine) or file in seen:
        continue
    seen.add(file)
    if re.search(r"^\s*using namespace", file.read_text(), re.M):
        alone.append(entry)
    else:
        modules[file.relative_to(engine).parts[0]].append((file, entry))

out.mkdir(exist_ok=True)
database = alone
for module, members in sorted(modules.items()):
    batch = out / f"{module}.cpp"
    batch.write_text("".join(f'#include "{file}"\n' for file, _ in members))
    entry = members[0][1]
    database.append({**entry, "file": str(batch), "command": entry["command"].replace(entry["file"], str(batch))})
(out / "compile_commands.json").write_text(json.dumps(database))
