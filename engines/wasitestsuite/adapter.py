"""Adapter of blazar for the runner of WebAssembly/wasi-testsuite.

Copy or link it into the suite's adapters/ and run, in the suite's directory:

    BLAZAR=/path/to/blazar ./run-tests --runtime adapters/blazar.py

BLAZAR may hold options of `blazar run` behind the path.
"""

import os
import shlex
import subprocess
from typing import Dict, List, Optional, Tuple

BLAZAR = shlex.split(os.getenv("BLAZAR", "blazar"))


def get_name() -> str:
    return "blazar"


def get_version() -> str:
    result = subprocess.run(BLAZAR[0:1] + ["--version"], encoding="UTF-8",
                            capture_output=True, check=True)
    return result.stdout.split()[-1]


def get_wasi_versions() -> List[str]:
    return ["wasm32-wasip1"]


def get_wasi_worlds() -> List[str]:
    return ["wasi:cli/command"]


def compute_argv(test_path: str,
                 args_env_root: Tuple[List[str], Dict[str, str], Optional[str]],
                 proposals: List[str],
                 wasi_world: str,
                 wasi_version: str) -> List[str]:
    args, env, root = args_env_root
    argv = BLAZAR[0:1] + ["run"] + BLAZAR[1:]
    for name, value in env.items():
        argv += ["--env", f"{name}={value}"]
    if root:
        argv += ["--dir", f"{root}:/"]
    return argv + [test_path] + args
