"""When a training evaluates, and which evaluation it owes after it was killed in the middle of one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from detectron2.engine.hooks import EvalHook
from detectron2.utils import comm

from ovrs.files import written_whole

logger = logging.getLogger(__name__)

RECORD_FILE = "last_evaluation"


class RecordedEvaluation(EvalHook):
    """Detectron2's periodic evaluation, with a note of the last one that was finished, in the file ``last_evaluation``.

    A checkpoint is written before its evaluation. A training that goes on from one whose evaluation was due, but never
    finished, evaluates before its first step. (The one behind the last step is repeated by every start.)

    Args:
        period: iterations from one evaluation to the next; 0 = only behind the last step.
        function: evaluates, and gives nested dicts of figures.
        folder: ``OUTPUT_DIR``.
    """

    def __init__(self, period: int, function: Callable[[], dict[str, Any]], folder: str) -> None:
        super().__init__(period, function)
        self.path = Path(folder) / RECORD_FILE

    def before_train(self) -> None:
        """Make up for what is owed; a training that begins anew owes nothing, and forgets what an earlier one noted."""
        trainer, start = self.trainer, self.trainer.start_iter
        if start == 0 and comm.is_main_process():
            self.path.unlink(missing_ok=True)
        if not comm.all_gather(self._owed(start))[0]:
            return
        logger.info("The evaluation after iteration %d was not finished; it comes first", start)
        trainer.iter = trainer.storage.iter = start - 1  # figures and pictures are those of the step before
        self._do_eval()
        trainer.iter = trainer.storage.iter = start

    def _owed(self, start: int) -> bool:
        if not (self._period > 0 and 0 < start < self.trainer.max_iter and start % self._period == 0):
            return False
        try:
            return int(self.path.read_text(encoding="utf-8")) < start
        except (OSError, ValueError):
            return True

    def _do_eval(self) -> None:
        super()._do_eval()
        if comm.is_main_process():
            with written_whole(self.path) as temporary:
                temporary.write_text(str(min(self.trainer.iter + 1, self.trainer.max_iter)), encoding="utf-8")
