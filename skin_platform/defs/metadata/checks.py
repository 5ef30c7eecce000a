"""Checks of the room ``metadata``: what is wrong with the table fails here (what is wrong with a batch never enters it).

Blocking where harm would follow in the same run: a table that is not what it says, images that are not there.
"""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dagster as dg

from skin_platform.core.groups import MOST_HOUSEHOLDS
from skin_platform.core.lesions import QUALITY
from skin_platform.core.soundness import Verdict, correlation_ratio, label_shift, quality_by_label, volume
from skin_platform.defs.metadata.assets import lesions_data
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.showing import table
from skin_platform.storage.catalogue import Catalogue
from skin_platform.storage.objects import parse_uri

LOOKED_AT = 200  # objects that are asked for at a check; a table that lost 2 % of them is caught 98 times of 100
SHOWN = 20


@dg.asset_check(asset=lesions_data, blocking=True, description="Columns, keys and content of the published table are declared.")
def table_is_as_declared(stores: StoresResource) -> dg.AssetCheckResult:
    """One row for each image and label, and the digest that the statement gives."""
    catalogue = stores.open().catalogue
    declared, found = catalogue.state(), catalogue.recount()
    if declared is None or found is None:
        return dg.AssetCheckResult(passed=False, description="nothing is published: run `skin rebuild`")
    [keys] = _rows(catalogue, "SELECT count(DISTINCT (sha256, label)) AS keys FROM lesions_data")
    return dg.AssetCheckResult(passed=found == declared and keys["keys"] == found.rows, metadata={
        "rows": found.rows, "keys": keys["keys"], "content_digest": found.content_digest, "declared": declared.content_digest})


@dg.asset_check(asset=lesions_data, description="Every label of the table is named in dataset.yaml.")
def labels_are_configured(stores: StoresResource) -> dg.AssetCheckResult:
    """Images of other labels stay in the catalogue and are not trained on."""
    opened = stores.open()
    known = opened.settings.dataset.labels
    found = _rows(opened.catalogue, "SELECT label, count(*) AS images FROM lesions_data GROUP BY label ORDER BY label")
    others = [row for row in found if known and row["label"] not in known]
    return _warning(Verdict(not others, f"{len(found)} label(s), {len(others)} of them not in dataset.yaml"),
                    others=table(others, ["label", "images"]))


@dg.asset_check(asset=lesions_data, description="No image waits for a decision between two labels; such images are left out.")
def no_image_has_two_labels(stores: StoresResource) -> dg.AssetCheckResult:
    """The same bytes under two labels are kept out of datasets until a person decides (`skin conflicts`)."""
    found = _rows(stores.open().catalogue, "SELECT sha256, string_agg(label, ', ' ORDER BY label) AS labels FROM lesions_data "
                                           "WHERE exclusion = 'conflict' GROUP BY sha256 ORDER BY sha256")
    return _warning(Verdict(not found, f"{len(found)} image(s) under several labels: skin conflicts"), count=len(found),
                    conflicts=table(found[:SHOWN], ["sha256", "labels"]))


@dg.asset_check(asset=lesions_data, description="The newest batch is about as large as those before it "
                                                  "(judged from the sixth batch on; before that it says so and passes).")
def batch_is_of_usual_size(stores: StoresResource) -> dg.AssetCheckResult:
    """A tenth or ten times the median of earlier batches is worth a look."""
    found = _rows(stores.open().catalogue, "SELECT batch_id, count(*) AS images FROM lesions_data GROUP BY batch_id "
                                           "ORDER BY min(ingested_at), batch_id")
    counts = [row["images"] for row in found]
    return _warning(volume(counts[-1], counts[:-1]) if counts else Verdict(True, "not judged yet: no batch came", False))


@dg.asset_check(asset=lesions_data, description="The labels of the newest batch have about the shares that they had before.")
def labels_are_shared_out_as_before(stores: StoresResource) -> dg.AssetCheckResult:
    """A batch of one label only, or of another clinic's mix, is worth a look."""
    newest = "batch_id = (SELECT arg_max(batch_id, (ingested_at, batch_id)) FROM lesions_data)"
    found = _rows(stores.open().catalogue, f"SELECT label, count(*) FILTER (WHERE {newest}) AS new, "
                                           f"count(*) FILTER (WHERE NOT {newest}) AS old FROM lesions_data GROUP BY label")
    return _warning(label_shift({row["label"]: row["new"] for row in found}, {row["label"]: row["old"] for row in found}),
                    labels=table(found, ["label", "new", "old"]))


@dg.asset_check(asset=lesions_data, blocking=True, description="The images of the table are in the bucket, of the size named.")
def objects_are_there(context: dg.AssetCheckExecutionContext, stores: StoresResource) -> dg.AssetCheckResult:
    """A sample of the table, another one at each run."""
    opened = stores.open()
    seed = random.Random(context.op_execution_context.run_id).getrandbits(31)
    found = _rows(opened.catalogue, "SELECT sha256, s3_uri, bytes FROM lesions_data "
                                    f"USING SAMPLE reservoir({LOOKED_AT} ROWS) REPEATABLE ({seed})")

    def is_missing(row: dict[str, Any]) -> bool:
        try:
            return opened.objects.get_object_metadata(*parse_uri(row["s3_uri"]))["size_bytes"] != str(row["bytes"])
        except KeyError:
            return True

    with ThreadPoolExecutor(16) as askers:
        missing = [row for row, gone in zip(found, askers.map(is_missing, found), strict=True) if gone]
    return dg.AssetCheckResult(
        passed=not missing, description=f"{len(missing)} of {len(found)} objects are missing or of another size",
        metadata={"looked_at": len(found), "missing": table(missing[:SHOWN], ["sha256", "s3_uri", "bytes"])})


@dg.asset_check(asset=lesions_data, description="No patient, lesion or picture was delivered into two splits.")
def no_group_was_delivered_into_two_splits(stores: StoresResource) -> dg.AssetCheckResult:
    """Datasets put such a group into the more held-out split as a whole; the delivery is worth a question all the same."""
    found = _rows(stores.open().catalogue, "SELECT group_id, count(DISTINCT split) AS splits FROM lesions_data "
                                           "GROUP BY group_id HAVING count(DISTINCT split) > 1 ORDER BY group_id")
    return _warning(Verdict(not found, f"{len(found)} group(s) were delivered into several splits"), count=len(found),
                    groups=table(found[:SHOWN], ["group_id", "splits"]))


@dg.asset_check(asset=lesions_data, description="Likeness joins no large part of the table into one group.")
def near_duplicate_groups_are_small(stores: StoresResource) -> dg.AssetCheckResult:
    """A group of very many patients goes into one split as a whole, and pictures in it may look alike by chance."""
    catalogue = stores.open().catalogue
    found = _rows(catalogue, "SELECT group_id, count(DISTINCT sha256) AS images, "
                             "count(DISTINCT coalesce(patient_id, lesion_id, sha256)) AS patients FROM lesions_data "
                             f"GROUP BY group_id HAVING patients > {MOST_HOUSEHOLDS} ORDER BY images DESC, group_id")
    apart = catalogue.taken_apart()
    return _warning(Verdict(not found and not apart, f"{len(found)} group(s) of more than {MOST_HOUSEHOLDS} patients; {apart} "
                            "image(s) look alike to so many that only sure copies join them"),
                    count=len(found), taken_apart=apart, groups=table(found[:SHOWN], ["group_id", "images", "patients"]))


@dg.asset_check(asset=lesions_data, description="How a picture was taken (sharpness, exposure, …) does not tell its label.")
def quality_does_not_tell_the_label(stores: StoresResource) -> dg.AssetCheckResult:
    """The share of each quality measure's variance that the label explains (correlation ratio)."""
    measures = ", ".join(f"avg({name}) AS {name}_mean, var_pop({name}) AS {name}_variance" for name in QUALITY)
    found = _rows(stores.open().catalogue, f"SELECT label, count(*) AS n, {measures} FROM lesions_data GROUP BY label")
    ratios = {name: correlation_ratio([(row["n"], row[f"{name}_mean"] or 0.0, row[f"{name}_variance"] or 0.0) for row in found])
              for name in QUALITY}
    shown = [{"label": row["label"], "images": row["n"], **{name: round(row[f"{name}_mean"] or 0.0, 3) for name in QUALITY}}
             for row in found]
    return _warning(quality_by_label(ratios, sum(row["n"] for row in found)), means=table(shown, ["label", "images", *QUALITY]),
                    explained=dg.MetadataValue.json({name: round(ratio, 4) for name, ratio in ratios.items()}))


def _rows(catalogue: Catalogue, sql: str) -> list[dict[str, Any]]:
    answer = catalogue.query(sql)
    return [] if answer is None else answer.to_pylist()


def _warning(verdict: Verdict, **shown: Any) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=verdict.passed, severity=dg.AssetCheckSeverity.WARN, description=verdict.reason,
                               metadata={"judged": verdict.is_judged, **shown})


CHECKS = [table_is_as_declared, labels_are_configured, no_image_has_two_labels, batch_is_of_usual_size,
          labels_are_shared_out_as_before, objects_are_there, no_group_was_delivered_into_two_splits,
          near_duplicate_groups_are_small, quality_does_not_tell_the_label]
