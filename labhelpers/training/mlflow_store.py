"""Where MLflow keeps its data: a sqlite file in the workspace, made whole, checked, never deleted."""

import contextlib
import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from ..core import settings
from ..core.settings import LabError

SECONDS_FOR_A_SERVER = 5
DISK_TROUBLE = ("disk is full", "disk I/O error", "readonly database", "No space left on device")


def address() -> str:
    """Name the course's own database.

    Returns:
        sqlite:///<workspace>/mlflow.db
    """
    return f"sqlite:///{_database().as_posix()}"


def artifacts() -> str:
    """Name the folder for figures, models and other files of a run.

    Returns:
        file:///<workspace>/mlartifacts
    """
    return (settings.current().workspace / "mlartifacts").as_uri()


def make_ready() -> None:
    """Make the database if it is missing; set it aside and make a new one if it is damaged.

    Raises:
        LabError: when the file exists and cannot be opened, or when MLflow cannot spell its folder.
    """
    database = _database()
    if re.search("[?]|%[0-9A-Fa-f]{2}", str(database)):
        raise LabError(
            f"MLflow reads a question mark or a %20 in {database} as part of an address, and would look elsewhere. "
            "Set LAB_WORKSPACE to a folder without these signs, then restart the kernel."
        )
    with readable_errors(), _alone():
        if database.exists() and not _is_sound(database):
            _set_aside(database)
        if not database.exists():
            _create(database)


def _database() -> Path:
    return settings.current().workspace / "mlflow.db"


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Let one notebook at a time make the database or its experiments."""
    from filelock import FileLock

    database = _database()
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_name(".mlflow.db.lock")):
        yield


def _create(database: Path) -> None:
    """Build the tables under another name first: an interrupted migration could not be taken up again."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    fresh = database.with_name(".mlflow-new.db")
    try:
        fresh.unlink(missing_ok=True)
        store = SqlAlchemyStore(f"sqlite:///{fresh.as_posix()}", artifacts())
        store.engine.dispose()
        fresh.replace(database)
    finally:
        # After a full disk MLflow would go on with the half-made file that is deleted here.
        _forget_connections(f"sqlite:///{fresh.as_posix()}")
        fresh.unlink(missing_ok=True)
    _forget_connections(address())


def _forget_connections(place: str) -> None:
    """MLflow keeps its connections for the life of the process, and would go on with a file that moved away."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking
    from mlflow.tracking._model_registry.registry import ModelRegistryStoreRegistry
    from mlflow.tracking._tracking_service.registry import TrackingStoreRegistry

    for store in (Tracking, Registry):
        engine = store._engine_map.pop(place, None)
        if engine is not None:
            engine.dispose()
    for registry in (TrackingStoreRegistry, ModelRegistryStoreRegistry):
        registry._get_store_with_resolved_uri.cache_clear()


def _is_sound(database: Path) -> bool:
    try:
        # A with-block of sqlite3 ends a transaction, not the connection; closing() does.
        with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
            tables = connection.execute(
                "SELECT name FROM sqlite_master WHERE name = 'experiments'"
            ).fetchall()
            return bool(tables) and connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.OperationalError as error:
        raise LabError(
            f"MLflow's database {database} cannot be opened: {error}. Close other notebooks or the MLflow page, "
            "make sure that you may write to the file, and run the cell again."
        ) from error
    except sqlite3.DatabaseError:
        return False


def _set_aside(database: Path) -> None:
    place = database.with_name(f"broken-{datetime.now():%Y%m%d-%H%M%S-%f}-{database.name}")
    database.rename(place)
    for suffix in ("-journal", "-wal", "-shm"):
        companion = database.with_name(database.name + suffix)
        if companion.exists():
            companion.rename(place.with_name(place.name + suffix))
    print(
        f"MLflow's database was damaged. It now lies in {place}, nothing was deleted, and a new, empty one takes "
        "its place. Your trained models and recorded results are not affected."
    )


@contextlib.contextmanager
def kept_open(run_id: str) -> Iterator[None]:
    """Hold a lock while a run is open; after the death of this process, its file is there without the lock.

    Args:
        run_id: of the run that has been started.
    """
    from filelock import FileLock

    _open_runs().mkdir(parents=True, exist_ok=True)
    lock = FileLock(_open_runs() / f"{run_id}.lock")
    try:
        with lock:
            yield
    finally:
        _tidy(run_id, Path(lock.lock_file))


def close_abandoned() -> None:
    """Mark as KILLED what a dead process left RUNNING, and say so."""
    import mlflow
    from filelock import FileLock, Timeout
    from mlflow.exceptions import MlflowException

    for path in _open_runs().glob("*.lock"):
        with contextlib.suppress(Timeout, OSError), FileLock(path, timeout=0):
            with contextlib.suppress(MlflowException):
                run = mlflow.get_run(path.stem)
                if run.info.status == "RUNNING":
                    mlflow.MlflowClient().set_terminated(path.stem, "KILLED")
                    print(
                        f"The MLflow run {run.info.run_name!r} was cut off earlier; it is now marked as killed."
                    )
            path.unlink(missing_ok=True)


def _tidy(run_id: str, path: Path) -> None:
    """Forget a run that has ended; one whose end could not be written stays on the list."""
    import mlflow
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException, OSError):
        if mlflow.get_run(run_id).info.status != "RUNNING":
            path.unlink(missing_ok=True)


def _open_runs() -> Path:
    return settings.current().workspace / ".open-runs"


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Turn what a full or locked disk makes MLflow say into a LabError with the next step."""
    try:
        yield
    except LabError:
        raise
    except Exception as error:
        reason = next((word for word in DISK_TROUBLE if word in str(error)), None)
        if isinstance(error, OSError) and error.errno in settings.DISK_REFUSALS:
            reason = error.strerror
        if reason is None:
            raise
        raise LabError(
            f"MLflow could not write to {settings.current().workspace}: {reason}. What was logged before is still "
            "there, and so are your trained models. Free some space or make the folder writable, then run the cell "
            "again: it opens a new run."
        ) from error


def keep_quiet() -> None:
    """Silence the dozens of migrations that making the database runs, each with a line of log."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    for name in ("mlflow", "alembic", "alembic.runtime.migration", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)


def check_server(server: str) -> None:
    """Ask a server once whether it is there: MLflow itself would retry for minutes.

    Args:
        server: value of MLFLOW_TRACKING_URI; anything but http and https is left to MLflow.

    Raises:
        LabError: when nothing answers.
    """
    import requests

    if not server.startswith(("http://", "https://")):
        return
    try:
        requests.get(f"{server.rstrip('/')}/health", timeout=SECONDS_FOR_A_SERVER)
    except requests.RequestException as error:
        raise LabError(
            f"MLFLOW_TRACKING_URI is {server}, and no server answers there ({type(error).__name__}). Start the "
            "server (`lab mlflow` starts one), correct the address, or unset MLFLOW_TRACKING_URI to use the "
            "course's own database."
        ) from error


def choose_experiment(experiment: str, server: str) -> None:
    """Make the experiment the current one.

    Args:
        experiment: its name; made if it is new, brought back if it was deleted.
        server: where MLflow keeps its data.

    Raises:
        LabError: when MLflow cannot read or write there.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        client = mlflow.MlflowClient()
        with readable_errors(), _alone():
            found = client.get_experiment_by_name(experiment)
            if found is None:
                place = None if server != address() else artifacts()
                mlflow.create_experiment(experiment, artifact_location=place)
            elif found.lifecycle_stage == "deleted":
                client.restore_experiment(found.experiment_id)
            mlflow.set_experiment(experiment)
    except MlflowException as error:
        raise LabError(
            f"MLflow could not open the experiment {experiment!r} at {server}: {error.message} If it speaks of an "
            f"old schema, run `mlflow db upgrade {server}`; otherwise check MLFLOW_TRACKING_URI."
        ) from error
