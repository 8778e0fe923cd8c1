"""What ``explore.data`` offers: the data sets that ``load`` knows by name."""

from explore.core.catalog import DataSet, Topic

TOPIC = Topic(
    "data",
    datasets=(
        DataSet("cifar10", "explore.data.datasets.cifar:cifar10", "download"),
        DataSet(
            "cifar10-jpeg", "explore.data.datasets.cifar_jpeg:cifar10_jpeg", quick={"count": 1}
        ),
        DataSet("cifar100", "explore.data.datasets.cifar:cifar100", "download"),
        DataSet("crc-phenotypes", "explore.data.datasets.crc_phenotypes:crc_phenotypes"),
        DataSet("digits", "explore.data.datasets.digits:digits", "included"),
        DataSet("fashion-mnist", "explore.data.datasets.mnist:fashion_mnist", "download"),
        DataSet("folder", "explore.data.image_folder:image_folder", "path"),
        DataSet(
            "imagenet-subset",
            "explore.data.datasets.imagenet_subsets:imagenet_subset",
            quick={"subset": "nette", "size": 8},
        ),
        DataSet("imagenette", "explore.data.datasets.imagenette:imagenette"),
        DataSet("mhist", "explore.data.datasets.mhist:mhist"),
        DataSet(
            "motifs",
            "explore.data.datasets.motif_graphs:motif_graphs",
            "included",
            content="graphs",
        ),
        DataSet("tu", "explore.data.datasets.tu_graphs:tu_graphs", content="graphs"),
        DataSet("coco", "explore.data.datasets.coco:coco", quick={"size": 8}, content="multilabel"),
        DataSet(
            "coco128", "explore.data.datasets.coco:coco128", quick={"size": 8}, content="multilabel"
        ),
        DataSet(
            "digit-pairs",
            "explore.data.datasets.digit_pairs:digit_pairs",
            "included",
            quick={"count": 10},
            content="multilabel",
        ),
        DataSet("emotions", "explore.data.datasets.mulan:emotions", content="multilabel"),
        DataSet("flags", "explore.data.datasets.mulan:flags", content="multilabel"),
        DataSet(
            "label-table",
            "explore.data.datasets.label_table:label_table",
            "path",
            content="multilabel",
        ),
        DataSet("mulan", "explore.data.datasets.mulan:mulan", content="multilabel"),
        DataSet("yeast", "explore.data.datasets.mulan:yeast", content="multilabel"),
        DataSet("mnist", "explore.data.datasets.mnist:mnist", "download"),
        DataSet("scenes", "explore.data.datasets.synthetic_scenes:scenes", "included"),
        DataSet("voc", "explore.data.datasets.voc:voc", "download", quick={"size": 8}),
    ),
    checks={"multi-label sets": "explore.data.doctor:check"},
)
