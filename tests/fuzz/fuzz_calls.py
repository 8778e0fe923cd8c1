"""Valid calls of all doors, by topic, and doors that are left out with the reason."""

from __future__ import annotations

import fuzz_calls_core
import fuzz_calls_data
import fuzz_calls_distill
import fuzz_calls_graphs
import fuzz_calls_mixtures
import fuzz_calls_models
import fuzz_calls_multilabel
import fuzz_calls_sparse
import fuzz_calls_subclass
from fuzz_judge import Call

CALLS: dict[str, Call] = {
    **fuzz_calls_core.CALLS,
    **fuzz_calls_data.CALLS,
    **fuzz_calls_distill.CALLS,
    **fuzz_calls_graphs.CALLS,
    **fuzz_calls_mixtures.CALLS,
    **fuzz_calls_models.CALLS,
    **fuzz_calls_multilabel.CALLS,
    **fuzz_calls_sparse.CALLS,
    **fuzz_calls_subclass.CALLS,
}

EXCLUDED = {
    # Called by the package itself, with values that it made.
    ".restore": "record calls it with the state of a checkpoint that it has checked",
    ".save_product": "record calls it with its own path",
    "Config": "test_options.py replaces every option of every method",
    "Config.identity": "a run calls it with the description of its data",
    "Config.make": "test_options.py calls it through the registry",
    "explore.core.registry.build_run": "called with rows of the registry",
    "explore.core.registry.make_config": "test_options.py",
    "Run": "build and the functions of the topics make runs, from options that are checked",
    "explore.distill.EvaluationProtocol.identity": "see Config.identity",
    "explore.distill.ExpertTrajectories.check_data": "a run calls it with its own data",
    "explore.graphs.CondensedGraphs.save_beside": "a run calls it with its own path",
    "Button.link": "an explorer calls it",
    "Choice.link": "an explorer calls it",
    "Slider.link": "an explorer calls it",
    "MultiChoice.link": "an explorer calls it",
    "Prediction.link": "an explorer calls it",
    "Prediction.note": "an explorer calls it with its own state",
    "FigureView.belongs_to": "an explorer calls it with its own widget",
    "FigureView.download": "an explorer calls it with the file that it wrote",
    "explore.widgets.FigureView": "takes the arguments of any widget",
    ".replace_values": "Explorer.offer calls it",
    "FigureView.show": "an explorer calls it with the picture that it drew",
    # Pictures are called by explorers with Datasets that their own select functions made.
    **{
        f"explore.plotting.Picture{name}": "an explorer calls it with data of the picture"
        for name in (
            *(
                "",
                ".box",
                ".build",
                ".describe",
                ".fits",
                ".furniture",
                ".grab",
                ".inches",
                ".moving",
            ),
            *(".panel", ".pick", ".place", ".png", ".pull", ".show", ".table", ".targets"),
            *(".update", ".value_at"),
        )
    },
    "explore.plotting.Picture.write": "an explorer calls it with a file of its own",
    "explore.sweep.connect": "needs a scheduler, which tests/sweep starts",
    "explore.sweep.run": "starts processes; its configurations are those of plan",
    "explore.mixtures.lab.record_in_memory": "reductions and the lab call it",
    "explore.plotting.Target": "a picture makes it",
    "explore.core.recording.check_dataset": "a check itself",
    "explore.core.recording.recording_id": "record uses it around the products that it writes",
    "explore.core.recording.steps_of": "called with the step of an opened recording",
    "explore.core.runs.advance_once": "record calls it with its run",
    "explore.core.tables.csv_safe": "called with the table of a picture",
    "explore.core.tables.round_numbers": "called with the table of a picture",
    # Results: tuples that functions return.
    "explore.attention.ClassMaps": "a result",
    "explore.attention.PowerSums": "a result",
    "explore.mixtures.Reduction": "a result",
    "explore.multilabel.Contrast": "a result",
    "explore.multilabel.DensityMixture": "a result; checked where it is used",
    "explore.multilabel.KernelMixture": "a result; checked where it is used",
    "explore.sparseconv.CPSStream": "a result",
    "explore.sparseconv.Encoding": "a result",
    "explore.sparseconv.Selection": "a result; its file is checked when it is loaded",
    "explore.sparseconv.SparseConv2d": "convert makes it",
    "explore.sparseconv.SparseConv2d.forward": "an nn.Conv2d, with the errors of PyTorch",
    # Classes for other classes of the package.
    **{
        f"explore.models.{name}": "graph networks call it with tensors that they checked"
        for name in (
            *("DenseGraphs.aggregate", "DenseGraphs.clear_padding", "DenseGraphs.map_rows"),
            *("DenseGraphs.pool", "SparseGraphs.aggregate", "SparseGraphs.clear_padding"),
            *("SparseGraphs.map_rows", "SparseGraphs.pool", "GCN.classify"),
        )
    },
}
"""Names, or ends of names, of doors without a case, with the reason."""
