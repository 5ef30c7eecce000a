"""The text of a new ``dataset.yaml``: every entry with its reason.

Here: writing one. Not here: reading it and its rules (``dataset_config``).
"""

import yaml

FLOOR = "floor: ${PERFORMANCE_THRESHOLD}"
DEMO_FLOOR = "floor: {floor:g}  # LOWERED FOR THE DEMO by `skin demo`: just above chance, no measure of a model for patients"


def render_dataset_config(labels: list[str], source: str = "landing", floor: float | None = None) -> str:
    """The text of a ``dataset.yaml`` with ``labels``; every entry is explained in it.

    ``floor`` is the accuracy that is enough for a demo; None: PERFORMANCE_THRESHOLD decides.
    """
    quoted = yaml.safe_dump(labels, default_flow_style=True, allow_unicode=True, width=10_000).strip()
    text = DATASET_TEMPLATE if floor is None else DATASET_TEMPLATE.replace(FLOOR, DEMO_FLOOR.format(floor=floor))
    return text.replace("@labels@", quoted).replace("@source@", source)


DATASET_TEMPLATE = """\
# What this deployment is about. ${VAR} takes a setting of .env or of the environment.

# The labels that may be delivered; anything else goes to quarantine. An empty list takes every delivered label.
labels: @labels@

# From least to most held out: the first is learnt from, the second chooses and calibrates; a third may be locked: it is
# opened for the final score alone, and every opening is counted. `fraction` is the share of each label that a split gets of
# the images whose delivery names no split; `also_called` are other names that deliveries give it. An image stays in its
# split for good: other fractions or another seed hold for images that are new. A split is renamed by adding its former name
# to `also_called`, and closed by the fraction 0.
splits:
  train: {fraction: 0.7, also_called: [training]}
  val: {fraction: 0.15, also_called: [validation, valid, dev]}
  test: {fraction: 0.15, locked: true, also_called: [testing]}
seed: 0

# The line of splits. Another name than before (say, a date and why) draws all splits anew, once, and says so on record: for
# when patient links that came later have left too little to learn from. Scores of two lines cannot be compared, and images
# that were locked in one may be learnt from in the next.
line: ""

# The feature extractor. `weights`: empty (untrained), a folder laid out like a hub repository ("${SKIN_HOME}/weights"), or a
# hub id with its `revision` (the commit, 40 hex digits).
backbone: {name: auto, weights: "", revision: ""}

# Where deliveries of the landing folder come from: the end of a batch id, 2026-05-01-<source>.
source: @source@

# Where images go, and the DuckDB file that catalogues them.
bucket: ${S3_BUCKET_IMAGES}
metadata_database: "${SKIN_HOME}/skin.duckdb"

# What the column `consent` of a delivery's table says. An image with a value of `refused` is catalogued and never trained on,
# as is one with a value in none of these lists; without a value (or column) it may be trained on. A refusal holds for the
# image in all deliveries, earlier and later, until one says a word of `renewed`; a mere yes does not lift it. After a change
# of these lists run `skin rebuild`: it holds for the images that are there, too.
consent:
  refused: ["no", "false", "0", "0.0", n, nein, non, refused, withdrawn, revoked, denied]
  given: ["yes", "true", "1", "1.0", y, ja, oui, given, granted]
  renewed: [renewed]

# How often the prediction set must hold the true label: on average, or with `by_label: true` for each label (larger sets).
# `ood_level` is the share of images like those learnt from that may be flagged as of another kind; it takes 1/ood_level
# calibration images to keep it, and fewer raise the share (90 to 1 in 91); under 19 nothing is flagged.
conformal: {coverage: 0.9, by_label: false, ood_level: 0.01}

# What a model must show, on images that it never saw, before it may answer. Each gate gives a verdict with its reason; where
# there are fewer images than `fewest`, the verdict is "too few", and `when_too_few` says whether that lets pass or refuses.
# Where there is nothing to judge (no malignant label named, no model that answers yet, no subgroups), it is "not judged".
gates:
  # The share of right answers (accuracy) that is needed at least.
  floor: ${PERFORMANCE_THRESHOLD}
  # Against the model that answers now: worse by `margin` at most in `metric` (accuracy, balanced_accuracy, macro_f1), which
  # must be shown; chance lets a model pass that is worse by the margin in a share `level` of all cases.
  champion: {metric: balanced_accuracy, margin: 0.05, level: 0.05}
  # What is malignant, and the share of its images that must be found: {<label>: {malignant: true, recall_floor: 0.8}}.
  labels: {}
  # Malignant labels may not be found credibly less often than by the model that answers now, by `margin`.
  malignant: {fewest: 20, margin: 0.02, when_too_few: refuse}
  # Nor may any subgroup become worse by `margin`, or be worse by `gap` than its mix of labels explains. With
  # `when_too_few: refuse` the rarest value decides: any one that is given, but for fewer images than `fewest`, refuses.
  subgroups: {by: [sex, age_band, skin_type, site, source], fewest: 20, margin: 0.05, gap: 0.15, when_too_few: pass}
  # Ages, in years, at which a band begins: under 30, 30 to 49, 50 to 69, 70 and over.
  age_bands: [30, 50, 70]
  # How far confidence may be from the share of right answers (expected calibration error, less what chance explains).
  calibration: {ceiling: 0.1, fewest: 50, when_too_few: pass}
  # The prediction sets may not hold the true label credibly less often than `conformal` says.
  coverage: {fewest: 50, when_too_few: pass}

# Our columns, and what they are called in the tables (manifest.csv, metadata.csv) of deliveries.
columns:
  file: [file, filename, image, path, image_id, isic_id]
  label: [label, diagnosis, dx]
  split: [split]
  patient_id: [patient_id, patient]
  lesion_id: [lesion_id, lesion]
  age: [age, age_approximate, age_years]
  sex: [sex, gender]
  site: [site, region, anatom_site_general]
  skin_type: [skin_type, fitzpatrick, fitspatrick]
  consent: [consent]
  sha256: [sha256]
"""
