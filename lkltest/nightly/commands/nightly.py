# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest nightly`."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lkltest.command_line import FAILED, INTERRUPTED, PASSED, count
from lkltest.nightly.commands.culprits import with_culprits
from lkltest.nightly.commands.night import (
    ComparedNight,
    Criteria,
    Recorder,
    compare_night,
    compared,
    expected_seconds,
    history_of_folders,
)
from lkltest.nightly.commands.notify import notify
from lkltest.nightly.commands.options import (
    FAIL_ON_KINDS,
    CannotRun,
    add_config,
    fail,
    fail_on,
    load_config,
    load_known,
    one_line_errors,
)
from lkltest.nightly.commands.overview import write_overview
from lkltest.nightly.commands.rerun import rerun_new_failures
from lkltest.nightly.config.config import Config
from lkltest.nightly.config.example import EXAMPLE
from lkltest.nightly.history.queries import named_night
from lkltest.nightly.history.store import History, HistoryError
from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.nightly.model.change import Change
from lkltest.nightly.report import prometheus
from lkltest.nightly.report.labels import headline, verdict
from lkltest.nightly.report.text import coverage_lines, lines, night_line
from lkltest.nightly.run.lock import locked
from lkltest.nightly.run.progress import Display, State
from lkltest.nightly.run.runner import Listener, run_cells
from lkltest.nightly.run.store import NightFolder, new_night, remove_nights, unfinished
from lkltest.report.terminal import echo, echo_error, wants_colour
from lkltest.signals import handle_termination_signals, repeat_dropped_interrupts
from lkltest.text import plural
from lkltest.verdict.results import TRIED_AGAIN
from lkltest.whole_file import write_whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_config(parser)
    parser.add_argument("--init", action="store_true", help="write a commented example")
    parser.add_argument(
        "-j", "--jobs", type=count, default=1, metavar="N", help="number of cells to run at once"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with a night that was interrupted or killed"
    )
    parser.add_argument("--night", metavar="ID", help="night to resume; default: the last")
    parser.add_argument(
        "--baseline", metavar="NIGHT", help="compare with this night, date or commit"
    )
    parser.add_argument(
        "--fail-on",
        type=fail_on,
        metavar="KIND,...",
        help=f"what makes the night fail: {FAIL_ON_KINDS}",
    )
    parser.add_argument(
        "--scheduler", metavar="URL", help="run the cells on the workers of a Dask scheduler"
    )
    parser.add_argument(
        "--bisect",
        type=count,
        metavar="MINUTES",
        help="search for the commits of new failures, for so long; builds need a make =",
    )
    parser.add_argument("--tls", type=Path, metavar="DIR", help="certificate of its cluster")


@one_line_errors
def run(options: argparse.Namespace) -> int:
    """Run the command: 0 as it was, 1 for regressions, 2 used wrongly or without its memory."""
    if options.init:
        return _init(Path(options.config))
    config, cells = load_config(options.config)
    criteria = Criteria(
        load_known(config.known),
        config.fail_on if options.fail_on is None else options.fail_on,
        options.baseline,
    )
    with contextlib.ExitStack() as stack:
        stack.callback(handle_termination_signals())
        stack.callback(repeat_dropped_interrupts())
        stale = stack.enter_context(locked(config.directory))
        if stale:
            echo_error(stale if options.resume else f"{stale}; --resume goes on with it")
        _check_baseline(config.history, options.baseline)
        folder = _folder(options, config)
        try:
            return _night(options, config, cells, criteria, folder)
        except KeyboardInterrupt:
            echo_error(f"{folder.id}: interrupted; --resume goes on with it")
            return INTERRUPTED


def _night(
    options: argparse.Namespace,
    config: Config,
    cells: Sequence[Cell],
    criteria: Criteria,
    folder: NightFolder,
) -> int:
    history, error = _open_history(config.history, folder)
    if error:
        echo_error(f"{error}; the night runs without it")
    expected = expected_seconds(history, cells) if history is not None else {}
    state = State(cells, options.jobs, expected, folder.finished(cells))
    display = Display(state)
    recorder = Recorder(folder, state, display, criteria.known, history, error)
    try:
        for record in state.done.values():
            recorder.remember(record)  # killed between the two
        if state.done:
            echo(f"{folder.id}: {len(state.done)} of {len(cells)} cells are finished")
        left = [cell for cell in cells if cell.id not in state.done]
        _run_cells(options, config, left, recorder)
        display.end()
        rerun_new_failures(
            config.rerun,
            recorder,
            lambda: _changes(config, recorder, criteria),
            lambda cells, listener: _run_cells(options, config, cells, listener),
        )
        display.end()
        return _close(options, config, recorder, criteria)
    finally:
        if history is not None:
            history.close()


def _run_cells(
    options: argparse.Namespace, config: Config, cells: Sequence[Cell], listener: Listener
) -> None:
    if options.scheduler is None:
        run_cells(cells, options.jobs, listener, config.machine)
        return
    from lkltest.nightly.cluster import scheduler
    from lkltest.nightly.cluster.errors import ClusterError

    try:
        scheduler.run_cells(
            cells, options.scheduler, listener, machine=config.machine, tls=options.tls
        )
    except ClusterError as error:
        raise CannotRun(str(error)) from None


def _changes(config: Config, recorder: Recorder, criteria: Criteria) -> Sequence[Change]:
    """The changes that the night brings up to now."""
    night = recorder.folder.id
    if recorder.history is not None and not recorder.history_error:
        try:
            return compared(recorder.history, night, criteria.baseline, criteria.known).changes
        except HistoryError as error:
            recorder.history_error = str(error)
    with history_of_folders(config.directory) as history:
        return compared(history, night, criteria.baseline, criteria.known).changes


def _close(
    options: argparse.Namespace, config: Config, recorder: Recorder, criteria: Criteria
) -> int:
    """Compare the night, write its reports, say what changed."""
    from lkltest.nightly.report.write_all import write_all

    folder, finished = recorder.folder, time.time()
    records = [recorder.state.done[cell.id] for cell in recorder.state.cells]
    history = recorder.history
    try:
        if history is not None and not recorder.history_error:
            history.finish_night(folder.id, finished)
    except HistoryError as error:
        recorder.history_error = str(error)
    lost = recorder.history_error
    notes = [f"{lost}; compared with the nights on disk"] if lost else []
    notes += recorder.troubles
    again = [line for record in records for line in _tried_again(record)]
    notes += again
    with contextlib.ExitStack() as stack:
        if history is None or recorder.history_error:
            history = stack.enter_context(history_of_folders(config.directory))
        compared = compare_night(history, folder, records, criteria, notes)
        write_all(compared.model, folder.path)
        said = verdict(compared.model).value, headline(compared.model)
        folder.finish(finished, *said, compared.model.notes)
        compared = _searched(options, config, recorder.state.cells, compared, folder)
        for line in (
            *again,
            *lines(compared.model.changes),
            *coverage_lines(compared.model.coverage),
        ):
            echo(line)
        line = night_line(compared.model, folder.path, colour=wants_colour(sys.stdout))
        print(line, flush=True)
        _forget(config, recorder)
        write_overview(history, config.directory, config.name)
    if config.metrics is not None:
        write_whole(config.metrics, prometheus.document(compared.model))
    notify(config.notify, compared.model, folder.path)
    if recorder.history_error:
        return fail(f"{recorder.history_error}; the night is complete in {folder.path}")
    return FAILED if compared.failing else PASSED


def _tried_again(record: CellRecord) -> list[str]:
    """A line for each of a cell's runs that was begun anew: why, and how that ended."""
    said = (result.properties.get(TRIED_AGAIN) for result in record.results)
    return [f"{record.cell.id}: {TRIED_AGAIN}: {text}" for text in said if text]


def _searched(
    options: argparse.Namespace,
    config: Config,
    cells: Sequence[Cell],
    compared: ComparedNight,
    folder: NightFolder,
) -> ComparedNight:
    """The night with the commits that broke it, if they are asked for; its reports say so, too."""
    from lkltest.nightly.report.write_all import write_all

    model = compared.model
    if options.bisect is None or "history" not in model.properties:
        return compared
    file = Path(model.properties["history"])
    seconds = options.bisect * 60.0
    changes = with_culprits(model.changes, config.builds, cells, file, seconds)
    if changes != list(model.changes):
        model = replace(model, changes=tuple(changes))
        write_all(model, folder.path)
    return replace(compared, model=model)


def _forget(config: Config, recorder: Recorder) -> None:
    """Forget what is older than is kept: folders first, of which a history can be made."""
    if config.keep is None:
        return
    moment = time.time() - config.keep
    gone = remove_nights(config.directory, moment)
    if recorder.history is not None and not recorder.history_error:
        try:
            gone = max(recorder.history.prune(moment), gone)
        except HistoryError as error:
            recorder.history_error = str(error)
    if gone:
        echo(f"{plural(gone, 'old night')} forgotten")


def _check_baseline(file: Path, wanted: str | None) -> None:
    """A night should not end with a misspelt name. Raises NoBaseline."""
    if wanted is not None:
        # What is wrong with the history is said when it is opened for the night's own records.
        with contextlib.suppress(HistoryError), History(file) as history:
            named_night(history, wanted)


def _open_history(file: Path, folder: NightFolder) -> tuple[History | None, str]:
    head = folder.head()
    try:
        history = History(file)
        try:
            history.begin_night(folder.id, head["started"], head["name"], head["harness"])
        except HistoryError:
            history.close()
            raise
    except HistoryError as error:
        return None, str(error)
    return history, ""


def _folder(options: argparse.Namespace, config: Config) -> NightFolder:
    if options.resume:
        return unfinished(config.directory, options.night)
    harness = importlib.metadata.version("lkltest")
    return new_night(config.directory, config.name, harness, time.time())


def _init(file: Path) -> int:
    if os.path.lexists(file):
        return fail(f"{file}: exists already")
    write_whole(file, EXAMPLE)
    echo(f"{file}: written; run it with: lkltest nightly {file}")
    return PASSED
