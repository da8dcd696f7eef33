"""MLflow: runs in the store that MLFLOW_TRACKING_URI names, by default a database in mlflow.db."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ganctl.errors import PackageError, Setting
from ganctl.images import Pixels, to_pil
from ganctl.tracking.base import Tracker, described
from ganctl.training.callback import End, Start


class MLflow(Tracker):
    """A tracker that logs to MLflow, configured by the environment variables MLFLOW_*."""

    name = "mlflow"
    _run_id: str | None = None
    _logging: Any = None
    """The metrics that were logged last, which may still be on their way."""

    def open(self, start: Start, run_id: str | None) -> tuple[str, str]:
        try:
            import mlflow
        except ImportError:
            raise PackageError.missing(
                Setting("track", self.name), "mlflow", extra=self.name
            ) from None
        # With MLflow's own seven, a server that is down holds up a run for eight minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        self._mlflow, self._client = mlflow, mlflow.MlflowClient()
        run = mlflow.start_run(run_id=run_id, run_name=start.folder.absolute().name)
        self._run_id = run.info.run_id
        if run_id is None:
            mlflow.log_params(described(start), run_id=self._run_id)
        return run.info.run_id, f"run {self._run_id} in {mlflow.get_tracking_uri()}"

    def log_scalars(self, values: Mapping[str, float], step: int) -> None:
        # A server that does not answer must not hold up other processes of the run.
        self._logging = self._mlflow.log_metrics(
            values, step=step, run_id=self._run_id, synchronous=False
        )

    def log_picture(self, picture: Pixels, step: int) -> None:
        self._logging.wait()  # raises what failed
        options: Any = {"key": "samples", "step": step, "synchronous": True}
        self._client.log_image(self._run_id, to_pil(picture), **options)

    def close(self, end: End) -> None:
        if self._run_id is None:
            return
        status = "FAILED" if end.error else "FINISHED" if end.finished else "KILLED"
        self._mlflow.end_run(status)
