"""The command: see the package."""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.stdlib import processes
from tests.stdlib.modules import MODULES, QUICK, exists, split_name
from tests.stdlib.report import compare, load_known, print_lost, print_table
from tests.stdlib.run import Settings, run_module
from tests.stdlib.store import Store

KNOWN = Path(__file__).with_name("known.toml")


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="python -m tests.stdlib",
        description="Run CPython's own tests unpatched and patched, and say what is lost.",
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="test_select ...; all")
    parser.add_argument("--quick", action="store_true", help="what takes less than two minutes")
    parser.add_argument(
        "--baseline", metavar="FILE", help="keep the unpatched outcomes there, and use them"
    )
    parser.add_argument(
        "--baseline-runs",
        type=int,
        default=1,
        metavar="N",
        help="run unpatched N times: only what passes each time counts (1)",
    )
    parser.add_argument(
        "--again",
        type=int,
        default=0,
        metavar="N",
        help="run what is lost again, at most N times: lost is what is lost each time (0)",
    )
    parser.add_argument("--baseline-only", action="store_true", help="nothing is run patched")
    parser.add_argument("--results", metavar="FILE", help="keep the patched outcomes there")
    parser.add_argument("--logs", metavar="DIRECTORY", type=Path, help="keep the output there")
    parser.add_argument("--known", metavar="FILE", type=Path, default=KNOWN)
    parser.add_argument("--patch", default="all", metavar="MODULE,...", help="patch only these")
    parser.add_argument("-j", "--jobs", type=int, default=1, metavar="N", help="at a time (1)")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for a case (60)")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds for a module (900)")
    return parser.parse_intermixed_args(argv)


def select_modules(options, package, out):
    """The modules to run: of those asked for, the ones that this Python has."""
    names = options.modules or (QUICK if options.quick else MODULES)
    found = [name for name in names if exists(f"{package}.{name}")]
    if missing := ", ".join(name for name in names if name not in found):
        if options.modules:
            raise SystemExit(f"this Python has no {missing}")
        print(f"left out, because this Python does not have them: {missing}", file=out)
    return found


def baseline(module, store, runs, settings):
    """The outcomes without the patch; the worst of several runs."""
    held = store.get(module)
    if held is None:
        held = {}
        for _ in range(runs):
            for case, outcome in run_module(module, patched=False, settings=settings).items():
                held[case] = outcome.worse(held.get(case))
        store.put(module, held)
    return held


def main(argv=None, *, settings=None, out=sys.stdout):
    """Run the command; return its status."""
    options = arguments(argv)
    settings = replace(
        settings or Settings(),
        patience=options.patience,
        limit=options.limit,
        logs=options.logs,
        patch=options.patch,
    )
    known = load_known(options.known)
    store, results = Store(options.baseline), Store(options.results)

    def short(module, case):
        return split_name(settings.package, module, case)

    def run(module):
        def told(plain, patched):
            listed = known.get(module, {})
            return compare(module, plain, patched, listed, package=settings.package)

        plain = baseline(module, store, options.baseline_runs, settings)
        patched = {}
        if not options.baseline_only:
            # What hangs or dies by itself says nothing about the patch.
            hopeless = [case for case, one in plain.items() if one.outcome in {"hang", "crash"}]
            patched = run_module(module, patched=True, settings=settings, without=hopeless)
            for _ in range(options.again):
                lost = told(plain, patched).lost.keys() - known.get(module, {}).keys()
                held = [case for case in patched if short(module, case) not in lost]
                if not lost or len(held) == len(patched):
                    break
                leave = {*held, *hopeless}
                patched |= run_module(module, patched=True, settings=settings, without=leave)
            results.put(module, patched)
        return told(plain, patched or plain)

    rows, modules = [], select_modules(options, settings.package, out)
    with ThreadPoolExecutor(options.jobs) as pool:
        try:
            for row in pool.map(run, modules):
                rows.append(row)
                print_lost(row, out)
                print(f"{row.module}: {row.kept} of {row.passing}", file=out, flush=True)
        except BaseException:
            settings.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    print(file=out)
    print_table(rows, out)
    return 0 if all(row.good for row in rows) else 1


if __name__ == "__main__":
    processes.default_signals()
    sys.exit(main())
