"""Losses of boxes: how far predicted and true rectangles overlap."""

import math
from typing import Any, ClassVar

import numpy as np
from lossd_client.errors import ShapeError

from lossd.compiled.rectangles import ciou, diou, giou, iou, pair
from lossd.spec import Elementwise, Given, Layout, param, tensor, tuple_text


def _is_no_box(x1: Any, y1: Any, x2: Any, y2: Any) -> Any:
    return (x2 < x1) | (y2 < y1)


class _Boxes(Elementwise):
    """A loss of two boxes each; `math` is made by `pair`."""

    library = "torchvision.ops"
    signature: ClassVar[tuple[str, ...]] = ("reduction", "eps")
    parts = 4
    wide = True
    misfit = staticmethod(_is_no_box)
    fitting = "is not a box (x1, y1, x2, y2): x2 must be at least x1, and y2 at least y1"

    boxes1 = tensor("element", "Predicted boxes A (x1, y1, x2, y2), (*, 4).", grad=True)
    boxes2 = tensor("element", "True boxes B (x1, y1, x2, y2), (*, 4).", grad=True)
    eps: float = param(1e-7, "Added to denominators, against divisions by 0.", ge=0)

    @classmethod
    def smallest(cls) -> dict[str, Any]:
        return dict.fromkeys(("boxes1", "boxes2"), np.zeros((1, 4), np.float32))

    def layout(self, given: Given) -> Layout:
        shape, other = given["boxes1"].shape, given["boxes2"].shape
        if shape[-1:] != (4,):
            raise ShapeError(
                f"{self.name}: boxes1 {tuple_text(shape)} must be (*, 4)", field="boxes1"
            )
        if other != shape:
            raise ShapeError(
                f"{self.name}: boxes2 {tuple_text(other)} must have the shape of boxes1 "
                f"{tuple_text(shape)}",
                field="boxes2",
            )
        return Layout(
            output=shape[:-1],
            shapes={"boxes1": shape, "boxes2": shape},
            rows=math.prod(shape[:-1]),
            width=4,
            batch=shape[0] if len(shape) > 1 else 1,
        )


class IoULoss(_Boxes):
    r"""One minus the intersection over the union of two boxes.

    Shape:
        boxes1, boxes2: (*, 4), the same. The losses are (*).

    It is the first term of torchvision's three losses, which has no function for it alone. Boxes
    that do not meet give a loss of 1 and no gradient. Where ends of both boxes coincide, either
    gets half of the gradient, as by PyTorch's autograd. x2 < x1 or y2 < y1 is an error.

    Example:
        >>> criterion = nn.IoULoss(client=client)
        >>> round(criterion([[0.0, 0.0, 2.0, 2.0]], [[1.0, 1.0, 3.0, 3.0]]).item(), 6)
        0.857143
    """

    name = "box_iou_loss"
    formula = r"\ell = 1 - \mathrm{IoU},\ \mathrm{IoU} = \frac{|A \cap B|}{|A \cup B| + \epsilon}"
    gradient = (
        (
            r"\partial_t \ell = -\partial_t\,\mathrm{IoU} \text{ for each coordinate } t \text{ "
            r"of either box}"
        ),
        (
            r"\partial_t\,\mathrm{IoU} = \frac{(U + \epsilon)\,\partial_t I - I\,\partial_t "
            r"U}{(U + \epsilon)^2},\ I = |A \cap B|,\ U = |A \cup B|"
        ),
    )
    reference = "Yu et al., UnitBox, https://arxiv.org/abs/1608.01471"
    math = staticmethod(pair(iou))


class GIoULoss(_Boxes):
    r"""1 - IoU, and the part of the smallest enclosing box C that is in neither box.

    Shape:
        boxes1, boxes2: (*, 4), the same. The losses are (*).

    Boxes that do not meet are drawn to each other. Where ends of both boxes coincide, either gets
    half of the gradient, as by PyTorch's autograd. x2 < x1 or y2 < y1 is an error (torchvision
    answers something). The mean of no boxes is NaN, with `zero_if_empty` 0 as in torchvision.

    Example:
        >>> criterion = nn.GIoULoss(client=client)
        >>> round(criterion([[0.0, 0.0, 2.0, 2.0]], [[1.0, 1.0, 3.0, 3.0]]).item(), 6)
        1.079365
    """

    name = "generalized_box_iou_loss"
    formula = r"\ell = 1 - \mathrm{IoU} + \frac{|C| - |A \cup B|}{|C| + \epsilon}"
    gradient = (
        (
            r"\partial_t \ell = -\partial_t\,\mathrm{IoU} + \frac{(|C| + \epsilon)\,\partial_t "
            r"(|C| - U) - (|C| - U)\,\partial_t |C|}{(|C| + \epsilon)^2} \text{ for each "
            r"coordinate } t \text{ of either box}"
        ),
        (
            r"\partial_t\,\mathrm{IoU} = \frac{(U + \epsilon)\,\partial_t I - I\,\partial_t "
            r"U}{(U + \epsilon)^2},\ I = |A \cap B|,\ U = |A \cup B|"
        ),
    )
    reference = (
        "Rezatofighi et al., Generalized intersection over union, https://arxiv.org/abs/1902.09630"
    )
    math = staticmethod(pair(giou))


class DIoULoss(_Boxes):
    r"""1 - IoU, and the squared distance of the centres over that of the enclosing diagonal.

    Shape:
        boxes1, boxes2: (*, 4), the same. The losses are (*).

    Where ends of both boxes coincide, either gets half of the gradient, as by PyTorch's autograd.
    x2 < x1 or y2 < y1 is an error (torchvision answers something). The mean of no boxes is NaN,
    with `zero_if_empty` 0 as in torchvision.

    Example:
        >>> criterion = nn.DIoULoss(client=client)
        >>> round(criterion([[0.0, 0.0, 2.0, 2.0]], [[1.0, 1.0, 3.0, 3.0]]).item(), 6)
        0.968254
    """

    name = "distance_box_iou_loss"
    formula = r"\ell = 1 - \mathrm{IoU} + \frac{\rho^2(a, b)}{c^2 + \epsilon}"
    gradient = (
        (
            r"\partial_t \ell = -\partial_t\,\mathrm{IoU} + \frac{(c^2 + \epsilon)\,\partial_t "
            r"\rho^2 - \rho^2\,\partial_t c^2}{(c^2 + \epsilon)^2} \text{ for each coordinate } "
            r"t \text{ of either box}"
        ),
        (
            r"\partial_t\,\mathrm{IoU} = \frac{(U + \epsilon)\,\partial_t I - I\,\partial_t "
            r"U}{(U + \epsilon)^2},\ I = |A \cap B|,\ U = |A \cup B|"
        ),
        (
            r"\rho: \text{the distance of the centres } a \text{ and } b;\ c: \text{the diagonal "
            r"of the smallest box around both}"
        ),
    )
    reference = "Zheng et al., Distance-IoU loss, https://arxiv.org/abs/1911.08287"
    math = staticmethod(pair(diou))


class CIoULoss(_Boxes):
    r"""DIoULoss, and the difference of the aspect ratios where boxes overlap much.

    Shape:
        boxes1, boxes2: (*, 4), the same. The losses are (*).

    The weight alpha counts as constant in the gradient. `eps` is added to all three denominators
    (torchvision adds its default to the first two). A box without width and height, NaN in
    torchvision, has the angle 0. Where ends of both boxes coincide, either gets half of the
    gradient, as by PyTorch's autograd. x2 < x1 or y2 < y1 is an error (torchvision answers
    something). The mean of no boxes is NaN, with `zero_if_empty` 0 as in torchvision.

    Example:
        >>> criterion = nn.CIoULoss(client=client)
        >>> round(criterion([[0.0, 0.0, 2.0, 1.0]], [[1.0, 0.0, 3.0, 2.0]]).item(), 6)
        0.898245
    """

    name = "complete_box_iou_loss"
    formula = (
        r"\ell = 1 - \mathrm{IoU} + \frac{\rho^2(a, b)}{c^2 + \epsilon} + \alpha v,\ "
        r"v = \frac{4}{\pi^2} \left(\arctan \frac{w_b}{h_b} - \arctan \frac{w_a}{h_a}\right)^2,\ "
        r"\alpha = \frac{v}{1 - \mathrm{IoU} + v + \epsilon}"
    )
    gradient = (
        (
            r"\partial_t \ell = -\partial_t\,\mathrm{IoU} + \frac{(c^2 + \epsilon)\,\partial_t "
            r"\rho^2 - \rho^2\,\partial_t c^2}{(c^2 + \epsilon)^2} + \alpha\,\partial_t v \text{ "
            r"for each coordinate } t \text{ of either box}"
        ),
        (
            r"\partial_t\,\mathrm{IoU} = \frac{(U + \epsilon)\,\partial_t I - I\,\partial_t "
            r"U}{(U + \epsilon)^2},\ I = |A \cap B|,\ U = |A \cup B|"
        ),
        (
            r"\partial_t v = \frac{8}{\pi^2} \left(\arctan \frac{w_b}{h_b} - \arctan "
            r"\frac{w_a}{h_a}\right) \partial_t \left(\arctan \frac{w_b}{h_b} - \arctan "
            r"\frac{w_a}{h_a}\right)"
        ),
        (
            r"\rho: \text{the distance of the centres } a \text{ and } b;\ c: \text{the diagonal "
            r"of the smallest box around both};\ w, h: \text{widths and heights}"
        ),
    )
    reference = "Zheng et al., Distance-IoU loss, https://arxiv.org/abs/1911.08287"
    math = staticmethod(pair(ciou))
