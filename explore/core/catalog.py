"""The description of a topic: methods, figures, labs, data sets and checks, as strings only.

A topic is a package with a module ``catalog.py`` that holds ``TOPIC``, a ``Topic``. It is announced
by an entry point of the group ``explore.topics``::

    [project.entry-points."explore.topics"]
    walks = "my_package.catalog:TOPIC"

Objects are named as ``"package.module:name"`` and imported when they are used, so that a table of
all methods costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Method:
    """One method: what builds its run, which options it has, what shows and times it.

    Attributes:
        name: the name in configurations and on the command line.
        summary: what the method does, in one phrase.
        builder: function ``builder(config, data)`` that returns a ``Run``; ``data`` may be None.
        config: the configuration, a frozen dataclass that derives from ``BaseConfig``.
        label: the name in pictures and tables; ``name`` if empty.
        figures: names of the figures that show its recordings.
        bench: function ``main(arguments)`` that times it.
        recordings: files that ship with the package, recorded by this method.
        tiny: options of a run of seconds, for tests and demonstrations.
        length: the option that decides how long a run is.
        family: methods of one family share their configuration; ``explore run FAMILY --method
            NAME`` runs each of them.
        product: suffix of the file that ``BaseRun.save_product`` writes, such as
            ``".safetensors"``.
        follow_up: a command that uses the product, with ``{product}`` for its file; it is printed
            when a run has ended.
        table: function that makes one table of the recordings of this method.
    """

    name: str
    summary: str
    builder: str
    config: str
    label: str = ""
    figures: tuple[str, ...] = ()
    bench: str = ""
    recordings: tuple[str, ...] = ()
    tiny: Mapping[str, Any] = field(default_factory=dict)
    length: str = "steps"
    family: str = ""
    product: str = ""
    follow_up: str = ""
    table: str = ""


@dataclass(frozen=True)
class Figure:
    """One figure: a picture class, and where its data come from, in one of three forms.

    * ``select(recordings, **state)`` takes the data from recordings. Without ``--recording``, the
      files of ``recordings`` are shown.
    * ``select(**state)``, a function without a parameter ``recordings``, needs none: it computes
      the data, or reads numbers that ship. Every parameter has a default.
    * ``explorer()``, a function of a lab, returns an ``Explorer``. The figure shows what that
      explorer shows, and its states are those of the explorer's controls.

    Attributes:
        name: the name on the command line.
        picture: a ``Picture`` class.
        select: function that returns the Dataset to show; empty for the third form.
        slider: the state that the slider of an HTML page moves.
        positions: a sequence of the slider's positions, or a function of the recordings that
            returns one. By default the recordings' coordinate of the slider's name, or else their
            steps; in the third form those of the control.
        recordings: shipped files that are shown by default; else those of the first method that
            lists this figure.
        explorer: function without arguments; for the third form only.
        states: the names of the explorer's controls; for the third form only.
        panels: the names of the picture's panels (see ``Picture.panel``), for lists and help.

    Example:
        >>> Figure("walk", "walks.figures:Walk", "walks.figures:walk", panels=("map",)).slider
        'step'
        >>> Figure("choice", "walks.figures:Choice", explorer="walks.lab:choice", states=("pair",))
        Figure(name='choice', ...)
    """

    name: str
    picture: str
    select: str = ""
    slider: str = "step"
    positions: str = ""
    recordings: tuple[str, ...] = ()
    explorer: str = ""
    states: tuple[str, ...] = ()
    panels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lab:
    """One lab: its notebook, the question that it answers and the minutes that it takes."""

    name: str
    notebook: str
    question: str
    minutes: int


@dataclass(frozen=True)
class DataSet:
    """One data set: the function that loads it, and where its files come from.

    Attributes:
        name: the name for the function that loads it; see ``content``.
        loader: function ``loader(split, **options)``; of graphs, ``loader(**options)``.
        origin: "included" in the installation, "download" (with ``download=True``) or "files" that
            the user has; "path" for folders of the user's own.
        quick: options with which loading takes a moment, for ``explore doctor``.
        content: "images", for ``explore.data.load``; "graphs", for ``load_graph_set``; or
            "multilabel", for ``load_multilabel``.
    """

    name: str
    loader: str
    origin: str = "files"
    quick: Mapping[str, Any] = field(default_factory=dict)
    content: str = "images"


@dataclass(frozen=True)
class Topic:
    """All that one topic offers.

    Attributes:
        name: of the topic; ``explore bench NAME`` runs the first benchmark of its methods.
        methods, figures, labs, datasets: see those classes.
        benchmarks: functions ``main(arguments)`` that time something that is no method, by name.
        packages: distributions that the topic needs; ``explore doctor`` prints their versions.
        checks: function without arguments that tries whether the topic works, by the label that
            ``explore doctor`` prints. It returns one line, or raises an error.
    """

    name: str
    methods: tuple[Method, ...] = ()
    figures: tuple[Figure, ...] = ()
    labs: tuple[Lab, ...] = ()
    datasets: tuple[DataSet, ...] = ()
    benchmarks: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
