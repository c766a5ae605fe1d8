"""Lets a CUDA build of PyTorch be imported on a machine without CUDA, for a CPU-only run.

PyPI's Linux wheel of torch links against several gigabytes of NVIDIA libraries, although nothing on the CPU path
calls them. This writes an empty stand-in beside torch's own libraries for each one that cannot be loaded: it has the
right soname, the right version nodes and every symbol that torch wants of it, so that the dynamic linker is content.
The CUDA runtime itself must be the real one (its functions run while torch is imported).

usage: python cuda-stubs.py      (with the interpreter of the environment; needs cc and readelf)
"""

import ctypes
import pathlib
import re
import subprocess
import sysconfig
import tempfile

SITE = pathlib.Path(sysconfig.get_paths()["purelib"])
TORCH = SITE / "torch" / "lib"


def readelf(option, library):
    return subprocess.run(
        ["readelf", "-W", option, str(library)], check=True, capture_output=True, text=True
    ).stdout


def symbols(library):
    """(name, version or None, kind, defined) of every global symbol; weak wants are nobody's duty."""
    for line in readelf("--dyn-syms", library).splitlines():
        field = line.split()
        if len(field) < 8 or not field[0].endswith(":") or field[4] not in ("GLOBAL", "WEAK"):
            continue
        defined = field[6] != "UND"
        if not defined and field[4] == "WEAK":
            continue
        name, _, version = field[7].partition("@")
        yield name, version.lstrip("@") or None, field[3], defined


def needed(library):
    return re.findall(r"\(NEEDED\).*\[(.+)\]", readelf("-d", library))


def version_files(library):
    """Which library each version node is wanted from: {'libcublas.so.13': 'libcublas.so.13', 'GLIBC_2.17': 'libc.so.6'}."""
    where, file = {}, None
    for line in readelf("-V", library).splitlines():
        if found := re.search(r"\bFile: (\S+)", line):
            file = found.group(1)
        elif (found := re.search(r"\bName: (\S+)\s+Flags", line)) and file:
            where[found.group(1)] = file
    return where


def loadable(name):
    try:
        ctypes.CDLL(name)
        return True
    except OSError:
        return False


def compile_stub(soname, wanted):
    """`wanted`: name -> (version or None, kind). Every function answers 1, an error in all of these libraries."""
    with tempfile.TemporaryDirectory() as scratch:
        source, versions = pathlib.Path(scratch, "stub.c"), pathlib.Path(scratch, "stub.map")
        source.write_text(
            "".join(
                f"char {name}[4096];\n" if kind == "OBJECT" else f"int {name}(void) {{ return 1; }}\n"
                for name, (_, kind) in sorted(wanted.items())
            )
        )
        nodes = {}
        for name, (version, _) in sorted(wanted.items()):
            nodes.setdefault(version, []).append(name)
        nodes.pop(None, None)
        versions.write_text("".join(f"{v} {{ global: {'; '.join(n)}; }};\n" for v, n in nodes.items()))
        script = [f"-Wl,--version-script={versions}"] if nodes else []
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{soname}", *script]
            + ["-o", str(TORCH / soname), str(source)],
            check=True,
        )


def main():
    libraries = sorted(TORCH.glob("*.so"))
    present = {path.name for path in TORCH.iterdir()} | {p.name for p in SITE.glob("nvidia/**/*.so*")}
    missing = {n for path in libraries for n in needed(path) if n not in present and not loadable(n)}
    defined, unversioned, versioned = set(), {}, {}
    for path in [*libraries, *SITE.glob("nvidia/**/*.so*")]:
        files = version_files(path)
        for name, version, kind, is_defined in symbols(path):
            if is_defined:
                defined.add(name)
            elif version is None:
                unversioned[name] = (None, kind)
            elif files.get(version) in missing:
                versioned.setdefault(files[version], {})[name] = (version, kind)
    # A symbol without a version does not say whose it is: each stand-in offers all of NVIDIA's that nobody has. Other
    # names (some of libstdc++ come unversioned) belong to the system, and must not be shadowed.
    orphans = {n: w for n, w in unversioned.items() if n not in defined and re.match("cu|nv|nccl", n)}
    for soname in sorted(missing):
        compile_stub(soname, {**orphans, **versioned.get(soname, {})})
    print(f"stood in for {len(missing)} libraries: {' '.join(sorted(missing)) or 'none'}")


main()
