"""Shapes of the convolutions of VGG-16, ResNet-18 and Inception-v3."""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """The shape of one convolution: its network, channels, filters, side of the map, kernel, stride
    and padding."""

    source: str
    channels: int
    filters: int
    side: int
    kernel: tuple[int, int] = (3, 3)
    stride: int = 1
    padding: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """A short name for tables."""
        stride = f" /{self.stride}" if self.stride > 1 else ""
        kernel = "×".join(map(str, self.kernel))
        return f"{self.side}² {self.channels}→{self.filters} {kernel}{stride}"

    @property
    def is_3x3(self) -> bool:
        """Whether the kernel is 3×3 and the stride 1."""
        return self.kernel == (3, 3) and self.stride == 1

    @property
    def outputs(self) -> int:
        """The number of pixels of the output."""
        height, width = (
            (self.side + 2 * padding - kernel) // self.stride + 1
            for kernel, padding in zip(self.kernel, self.padding, strict=True)
        )
        return height * width

    @property
    def operations(self) -> int:
        """Floating-point operations of the dense convolution: two for each multiply-add."""
        return 2 * self.channels * self.filters * self.kernel[0] * self.kernel[1] * self.outputs


LAYER_LISTS = {
    "vgg": [
        Shape("VGG-16", channels, channels, side, padding=(1, 1))
        for channels, side in ((64, 224), (128, 112), (256, 56), (512, 28), (512, 14))
    ],
    "resnet": [
        Shape("ResNet-18", channels, filters, side, stride=filters // channels, padding=(1, 1))
        for channels, filters, side in (
            *((64, 64, 56), (128, 128, 28), (256, 256, 14), (512, 512, 7)),
            *((64, 128, 56), (128, 256, 28), (256, 512, 14)),
        )
    ],
    "inception": [
        Shape("Inception-v3", *size, kernel, stride, padding)
        for kernel, stride, padding, sizes in (
            ((3, 3), 1, (0, 0), ((32, 32, 149), (80, 192, 73))),
            ((3, 3), 1, (1, 1), ((32, 64, 147), (64, 96, 35), (96, 96, 35), (448, 384, 8))),
            ((5, 5), 1, (2, 2), ((48, 64, 35),)),
            ((3, 3), 2, (0, 0), ((288, 384, 35), (96, 96, 35), (192, 320, 17), (192, 192, 17))),
            ((1, 7), 1, (0, 3), ((128, 128, 17), (160, 160, 17), (192, 192, 17))),
            ((7, 1), 1, (3, 0), ((128, 192, 17), (192, 192, 17))),
            ((1, 3), 1, (0, 1), ((384, 384, 8),)),
            ((3, 1), 1, (1, 0), ((384, 384, 8),)),
        )
        for size in sizes
    ],
}
"""Each shape of a network once."""
