"""Where MLflow keeps its data: a sqlite file in the workspace, made whole, checked, never deleted."""

import contextlib
import logging
import os
import sqlite3
from datetime import datetime
from pathlib import Path

from . import settings
from .settings import LabError

SECONDS_FOR_A_SERVER = 5


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
        LabError: when the file exists and cannot be opened.
    """
    from filelock import FileLock

    database = _database()
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_name(".mlflow.db.lock")):
        if database.exists() and not _is_sound(database):
            _set_aside(database)
        if not database.exists():
            _create(database)


def _database() -> Path:
    return settings.current().workspace / "mlflow.db"


def _create(database: Path) -> None:
    """Build the tables under another name first: an interrupted migration could not be taken up again."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    fresh = database.with_name(f".mlflow-new-{os.getpid()}.db")
    fresh.unlink(missing_ok=True)
    store = SqlAlchemyStore(f"sqlite:///{fresh.as_posix()}", artifacts())
    store.engine.dispose()
    fresh.replace(database)
    _forget_connections()


def _forget_connections() -> None:
    """MLflow keeps its connections for the life of the process, and would go on with a file that moved away."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking
    from mlflow.tracking._model_registry.registry import ModelRegistryStoreRegistry
    from mlflow.tracking._tracking_service.registry import TrackingStoreRegistry

    for store in (Tracking, Registry):
        engine = store._engine_map.pop(address(), None)
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
