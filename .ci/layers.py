"""Print the packages of `automatum` by layer, and the imports between them; exit 1 for an upward import or a cycle.

The layers are those of import-linter's contract in pyproject.toml. `make layers` runs this.
"""

import re
import sys
from collections import Counter
from pathlib import Path

import grimp

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "sources"
PACKAGE = "automatum"


def read_layers():
    """Each layer with its packages, from the top down, and the modules that stand outside of them."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    contract = next(one for one in tool["contracts"] if one["type"] == "layers")
    return [re.split(r"\s*[|:]\s*", layer) for layer in contract["layers"]]


def count_lines(module):
    path = SOURCES.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return len(file.read_text(encoding="utf-8").splitlines())


def main():
    layers = read_layers()
    level = {package: at for at, layer in enumerate(layers) for package in layer}
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    modules = {one: one.split(".")[1] for one in graph.modules if one.count(".") and one.split(".")[1] in level}
    arrows = Counter()
    for importer, package in modules.items():
        for imported in graph.find_modules_directly_imported_by(importer):
            if modules.get(imported, package) != package:
                arrows[package, modules[imported]] += 1
    for at, layer in enumerate(layers):
        for package in layer:
            own = [one for one, of in modules.items() if of == package]
            print(f"{at + 1}  {package:<11} {len(own):>3} modules {sum(map(count_lines, own)):>6} lines")
            below = sorted((to for of, to in arrows if of == package), key=lambda to: level[to])
            print("     -> " + ", ".join(f"{to} {arrows[package, to]}" for to in below) if below else "     -> nothing")
    upward = [f"{of} -> {to}" for of, to in arrows if level[of] > level[to]]
    # Packages side by side may import each other in one direction only.
    cycles = [f"{of} <-> {to}" for of, to in arrows if of < to and (to, of) in arrows]
    for parent in [PACKAGE, *(f"{PACKAGE}.{package}" for package in level)]:
        cycles += [f"{of} -> {to}" for of, to in graph.nominate_cycle_breakers(parent)]
    for one in upward + cycles:
        print(f"against the layers: {one}")
    print(f"{len(modules)} modules, {len(layers)} layers, {len(upward)} upward imports, {len(cycles)} cycles")
    return 1 if upward or cycles else 0


if __name__ == "__main__":
    sys.exit(main())
