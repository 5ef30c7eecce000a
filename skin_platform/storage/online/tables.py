"""Tables of the online store: predictions, what a challenger answered beside them, feedback, keys.

Here: the columns and their types, in force now. Not here: how a database came to them (``online.migrations``), what is read
and written (``online.store``).
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

METADATA = sa.MetaData()
REVISIONS = "skin_platform_revision"  # not Alembic's own name: MLflow keeps its revisions under that, maybe beside ours


class Moment(sa.types.TypeDecorator[datetime]):
    """A point in time: aware, in UTC on both databases. SQLite keeps none of the zone, so that it is put back when read."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """In UTC; raises ``ValueError`` for a time without a zone, which could be any."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """Aware, in UTC."""
        if not isinstance(value, datetime):
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


PREDICTIONS = sa.Table(
    "predictions", METADATA,
    sa.Column("prediction_id", sa.String, primary_key=True),
    sa.Column("predicted_at", Moment, nullable=False, index=True),
    sa.Column("request_id", sa.String),
    sa.Column("mode", sa.String, nullable=False),  # single, batch, async
    sa.Column("outcome", sa.String, nullable=False),  # answered, abstained, refused
    sa.Column("code", sa.String),  # of a refusal
    sa.Column("delivered_sha256", sa.String),
    sa.Column("image_sha256", sa.String, index=True),
    sa.Column("is_image_kept", sa.Boolean, nullable=False),
    sa.Column("label", sa.String),
    sa.Column("probabilities", sa.JSON(none_as_null=True)),
    sa.Column("prediction_set", sa.JSON(none_as_null=True)),
    sa.Column("abstained", sa.Boolean),
    sa.Column("abstained_reason", sa.String),
    sa.Column("ood_score", sa.Double),
    sa.Column("ood_p_value", sa.Double),
    sa.Column("is_ood", sa.Boolean),
    sa.Column("latency_ms", sa.Double),
    sa.Column("key_name", sa.String),
    sa.Column("engine", sa.String),
    sa.Column("bundle", sa.String),
    sa.Column("model_version", sa.String),
    sa.Column("checkpoint_sha256", sa.String),
    sa.Column("dataset_digest", sa.String),
)
SHADOW_PREDICTIONS = sa.Table(
    "shadow_predictions", METADATA,
    sa.Column("prediction_id", sa.String, primary_key=True),
    sa.Column("model_version", sa.String, primary_key=True),
    sa.Column("bundle", sa.String, nullable=False),
    sa.Column("label", sa.String, nullable=False),
    sa.Column("probabilities", sa.JSON(none_as_null=True), nullable=False),
    sa.Column("prediction_set", sa.JSON(none_as_null=True)),
    sa.Column("latency_ms", sa.Double),
    sa.Column("predicted_at", Moment, nullable=False),
)
FEEDBACK = sa.Table(
    "feedback", METADATA,
    sa.Column("feedback_id", sa.String, primary_key=True),
    sa.Column("prediction_id", sa.String, nullable=False, index=True),  # no foreign key: it may arrive before the prediction
    sa.Column("correct_label", sa.String, nullable=False),
    sa.Column("given_by", sa.String),
    sa.Column("note", sa.String),
    sa.Column("given_at", Moment, nullable=False),
    sa.Column("key_name", sa.String),
)
API_KEYS = sa.Table(
    "api_keys", METADATA,
    sa.Column("key_id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("secret_sha256", sa.String, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("rate_per_minute", sa.Integer),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("revoked_at", Moment),
)
