"""Each package says what it is for, what it may import, and which module to read first; and it imports no more."""

import ast
import re
from pathlib import Path

import pytest
import tomlkit

import automatum
from tests.support import ROOT as REPOSITORY
from tests.support.pages import TEXTS

ROOT = Path(automatum.__file__).parent
CONTRACTS = tomlkit.parse((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
    "contracts"
]
LAYERS = [re.split(r"\s*[|:]\s*", layer) for layer in CONTRACTS[0]["layers"]]
PACKAGES = sorted(path.parent for path in ROOT.rglob("__init__.py") if path.parent != ROOT)


def name_of(folder):
    return ".".join(folder.relative_to(ROOT).parts)


def below(name):
    """All of the layers below that of a package."""
    [level] = [at for at, layer in enumerate(LAYERS) if name in layer]
    return {one for layer in LAYERS[level + 1 :] for one in layer}


def docstring(folder):
    return ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))


def stated_imports(folder):
    """The packages and modules in the sentence "May import"."""
    text = " ".join(docstring(folder).split("May import: ")[1].split("Start with")[0].split())
    text = re.split(r"[.;](?: |$)", text)[0]
    named = set(re.findall(r"`([\w.]+)`", text))
    if "everything below" in text:
        return named | below(name_of(folder))
    if "no other package" in text:
        return set()
    if "and below" in text:
        named |= below(re.findall(r"`([\w.]+)`", text)[-1])
    return named


def imports(folder):
    """Names of what the modules of a package import from the connector, outside of the package."""
    own = name_of(folder)
    for file in folder.rglob("*.py"):
        package = file.parent.relative_to(ROOT).parts
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = package[: len(package) - node.level + 1]
                for target in [node.module] if node.module else [alias.name for alias in node.names]:
                    name = ".".join((*base, target))
                    if not f"{name}.".startswith(f"{own}."):
                        yield name


@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_a_package_imports_what_its_docstring_says(folder):
    stated = stated_imports(folder)
    others = {name for name in imports(folder) if not any(f"{name}.".startswith(f"{one}.") for one in stated)}
    assert others - {"__version__"} == set()


@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_a_package_names_a_module_to_start_with(folder):
    for name in re.findall(r"(?:Start with|start with|then) `([\w.]+)`", docstring(folder)):
        assert folder.joinpath(*name.split(".")).with_suffix(".py").exists() or (folder / name).is_dir(), name
    assert re.search("[Ss]tart with `", docstring(folder))


def test_the_documents_draw_these_layers():
    pages = TEXTS[REPOSITORY / "docs" / "internals" / "architecture.md"], TEXTS[REPOSITORY / "CONTRIBUTING.md"]
    diagram = pages[0].split("```mermaid")[1].split("```")[0]
    levels = {name: level for level, layer in enumerate(LAYERS) for name in layer}
    assert set(re.findall(r"^    (\w+)\[", diagram, re.MULTILINE)) == set(levels)
    arrows = re.findall(r"^    (\w+) --> (\w+)$", diagram, re.MULTILINE)
    assert all(levels[one] <= levels[other] for one, other in arrows) and len(arrows) >= len(levels)
    listed = pages[1].split("## Layers")[1].split("```")[1].split()
    names = [name.strip(",").removesuffix(".py") for name in listed if name != "|"]
    assert names == [name for layer in LAYERS for name in layer]
