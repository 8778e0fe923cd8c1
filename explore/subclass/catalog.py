"""The catalog of the topic of subclass knowledge distillation."""

from explore.core.catalog import Figure, Lab, Method, Topic

SMALL_DIGITS = {"name": "digits", "options": {"size": 8, "margin": 0}}
TEMPERATURE_GRID = "explore.subclass.figures.style:TEMPERATURE_GRID"


def _training(name: str, label: str, summary: str) -> Method:
    return Method(
        name,
        f"a student learns {summary}",
        builder="explore.subclass.run:build",
        config="explore.subclass.config:SubclassConfig",
        label=label,
        figures=("logits",),
        bench="explore.subclass.bench.training:main",
        recordings=(f"data/students-{name}.zarr.zip",),
        tiny={
            "data": SMALL_DIGITS,
            "labels": 40,
            "teacher_images": 120,
            "teacher_width": 4,
            "teacher_epochs": 2,
            "epochs": 3,
            "holdout": 20,
        },
        length="epochs",
        family="subclass",
    )


TOPIC = Topic(
    "subclass",
    methods=(
        _training("skd", "subclass distillation (SKD)", "from a teacher's subclass logits"),
        _training("kd", "class distillation (KD)", "from the same teacher's class logits"),
        _training("labels-only", "subclass labels", "subclass labels, without a teacher"),
        _training("scratch", "class labels", "class labels, without a teacher"),
        _training(
            "random-subclasses", "SKD, random subclasses", "from a teacher of random subclasses"
        ),
        _training(
            "found-subclasses",
            "SKD, subclasses found",
            "from subclasses that the teacher discovers",
        ),
        Method(
            "subclass-study",
            "students of all these methods compared: widths, label counts, seeds",
            builder="explore.subclass.study:build",
            config="explore.subclass.config:StudyConfig",
            figures=("students",),
            bench="explore.subclass.bench.training:main",
            recordings=("data/digits-students.zarr.zip", "data/mnist-students.zarr.zip"),
            tiny={
                "data": SMALL_DIGITS,
                "labels": [30],
                "widths": [2, 4],
                "seeds": 2,
                "updates": 4,
                "teacher_width": 2,
                "teacher_updates": 4,
                "methods": ["scratch", "skd"],
            },
            length="updates",
            table="explore.subclass.study_tables:tables",
        ),
    ),
    figures=(
        Figure(
            "logits",
            "explore.subclass.figures.logits:Logits",
            "explore.subclass.figures.logits:logits",
            slider="epoch",
            positions="explore.subclass.figures.epochs:epoch_positions",
            recordings=("data/students-skd.zarr.zip", "data/students-scratch.zarr.zip"),
            panels=("teacher", "plane-2", "plane-3", "accuracy", "bits"),
        ),
        Figure(
            "softened",
            "explore.subclass.figures.softened:Softened",
            "explore.subclass.figures.softened:softened",
            "temperature",
            TEMPERATURE_GRID,
            recordings=("data/students-skd.zarr.zip",),
            panels=("image", "bars"),
        ),
        Figure(
            "students",
            "explore.subclass.figures.study:Students",
            "explore.subclass.figures.study:students",
            "width",
            panels=("curves", "runs"),
        ),
        Figure(
            "scores",
            "explore.subclass.figures.study:Scores",
            "explore.subclass.figures.study:students",
            "width",
            recordings=("data/digits-students.zarr.zip",),
            panels=("runs",),
        ),
        Figure(
            "label_bits",
            "explore.subclass.figures.bits:Bits",
            "explore.subclass.figures.bits:label_bits",
            "temperature",
            TEMPERATURE_GRID,
            recordings=("data/students-skd.zarr.zip",),
            panels=("curves", "labels"),
        ),
    ),
    labs=(
        Lab(
            "subclasses",
            "04_subclass_students.ipynb",
            "Does a student gain from what the teacher knows inside a class, "
            "or just from more labels?",
            35,
        ),
        Lab("label-bits", "08_label_bits.ipynb", "How many bits does a teacher pass on?", 25),
    ),
)

METHOD_LABELS = {method.name: method.label for method in TOPIC.methods if method.label}
"""Names of the methods in pictures and tables."""
