"""Vectors as long as the processor has them."""

from typing import Any, Final

from numba import types
from numba.extending import intrinsic

_WHOLE: Final = '"prefer-vector-width"="512"'


@intrinsic
def whole_vectors(typingctx: Any) -> Any:
    """Have the function that this is called in vectorised to the longest vectors there are.

    LLVM takes half of their length on Intel's processors, as those of 64 bytes lower the clock, for
    what follows too: small calls take a tenth longer. Exponentials and logarithms of many numbers
    gain more than that, up to 40 %; where a loop waits for memory there is nothing to gain.
    """

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # llvmlite knows of no attributes with a value: its own `add` would refuse this one
        set.add(builder.function.attributes, _WHOLE)
        return context.get_dummy_value()

    return types.void(), build
