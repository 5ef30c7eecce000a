"""What the service records: predictions, shadow predictions, feedback, keys.

Predictions of before, when there was one table and no revision, are carried over: each was answered, by nobody's key.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
FORMER = ("prediction_id", "predicted_at", "image_sha256", "label", "probabilities", "abstained", "bundle", "model_version",
          "checkpoint_sha256", "dataset_digest")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables; the predictions of before join theirs."""
    has_former = sa.inspect(op.get_bind()).has_table("predictions")
    if has_former:
        op.rename_table("predictions", "former_predictions")
    _make_predictions()
    if has_former:
        names = ", ".join(FORMER)
        op.execute(sa.text(
            f"INSERT INTO predictions({names}, mode, outcome, is_image_kept) SELECT {names}, 'single', "
            "CASE WHEN abstained THEN 'abstained' ELSE 'answered' END, :kept FROM former_predictions").bindparams(kept=False))
        op.drop_table("former_predictions")
    _make_companions()


def downgrade() -> None:
    """There was no revision before this one; raises ``NotImplementedError``."""
    raise NotImplementedError("the first revision cannot be taken back: put a backup in place")


def _make_predictions() -> None:
    op.create_table(
        "predictions",
        sa.Column("prediction_id", sa.String, primary_key=True),
        sa.Column("predicted_at", MOMENT, nullable=False),
        sa.Column("request_id", sa.String),
        sa.Column("mode", sa.String, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("code", sa.String),
        sa.Column("delivered_sha256", sa.String),
        sa.Column("image_sha256", sa.String),
        sa.Column("is_image_kept", sa.Boolean, nullable=False),
        sa.Column("label", sa.String),
        sa.Column("probabilities", sa.JSON),
        sa.Column("prediction_set", sa.JSON),
        sa.Column("abstained", sa.Boolean),
        sa.Column("abstained_reason", sa.String),
        sa.Column("ood_score", sa.Double),
        sa.Column("ood_p_value", sa.Double),
        sa.Column("is_ood", sa.Boolean),
        sa.Column("latency_ms", sa.Double),
        *_texts("key_name", "engine", "bundle", "model_version", "checkpoint_sha256", "dataset_digest"))
    op.create_index("ix_predictions_predicted_at", "predictions", ["predicted_at"])
    op.create_index("ix_predictions_image_sha256", "predictions", ["image_sha256"])


def _make_companions() -> None:
    op.create_table(
        "shadow_predictions",
        sa.Column("prediction_id", sa.String, primary_key=True),
        sa.Column("model_version", sa.String, primary_key=True),
        *_texts("bundle", "label", nullable=False),
        sa.Column("probabilities", sa.JSON, nullable=False),
        sa.Column("prediction_set", sa.JSON),
        sa.Column("latency_ms", sa.Double),
        sa.Column("predicted_at", MOMENT, nullable=False))
    op.create_table(
        "feedback",
        sa.Column("feedback_id", sa.String, primary_key=True),
        *_texts("prediction_id", "correct_label", nullable=False),
        *_texts("given_by", "note"),
        sa.Column("given_at", MOMENT, nullable=False),
        sa.Column("key_name", sa.String))
    op.create_index("ix_feedback_prediction_id", "feedback", ["prediction_id"])
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("secret_sha256", sa.String, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("rate_per_minute", sa.Integer),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT))


def _texts(*names: str, nullable: bool = True) -> Sequence[sa.Column[str]]:
    return [sa.Column(name, sa.String, nullable=nullable) for name in names]
