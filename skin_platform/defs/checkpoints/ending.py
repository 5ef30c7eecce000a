"""Ending: how a training that does not go through ends its run: refused, tried again, or stopped by a person."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from skin_platform.ml.config import ConfigError
from skin_platform.settings import Settings


@contextmanager
def ended_well(context: dg.AssetExecutionContext, settings: Settings) -> Iterator[None]:
    """What no retry clears (settings, memory, data) fails at once with its remedy; anything else is tried TASK_RETRIES times.

    A run that is terminated is told how to go on, and then ends as Dagster ends it.
    """
    from skin_platform.ml.failures import Cancelled, TrainingError

    try:
        yield
    except (dg.Failure, dg.RetryRequested):
        raise
    except (ConfigError, TrainingError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    except Cancelled as end:
        context.log.warning(str(end))
        signal.raise_signal(end.signal_number)  # to whoever had it before the fit took it: Dagster
        raise dg.Failure(str(end), allow_retries=False) from None
    except Exception as error:
        if context.retry_number >= settings.task_retries:
            raise
        context.log.warning("training failed (%s: %s) and is tried again", type(error).__name__, error)
        raise dg.RetryRequested(max_retries=settings.task_retries, seconds_to_wait=settings.retry_delay_seconds) from error
