"""Declared constructor signatures are those of torch.nn."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch.nn

import lossd.losses  # noqa: F401  fills the registry
from lossd.spec import registry

# those that hold parameters are written by hand: tests/service/test_owning.py
TORCHS = [n for n, loss in registry.items() if loss.library == "torch.nn" and not loss.owned]


def written(function: Callable[..., Any]) -> list[str]:
    """Names of the arguments, "*" before those that are given by keyword alone."""
    parameters = inspect.signature(function).parameters.values()
    only = [p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters]
    names = [p.name for p in parameters]
    if any(only):
        names.insert(only.index(True), "*")
    return names


def named(arguments: Iterable[str]) -> set[str]:
    return set(arguments) - {"*"}


@pytest.mark.parametrize("name", TORCHS)
def test_constructor_signature_is_torchs(name: str) -> None:
    declared = registry[name]
    assert list(declared.signature) == written(getattr(torch.nn, declared.__name__))


@pytest.mark.parametrize("name", [*TORCHS, "linear_cross_entropy"])
def test_function_signature_is_torchs(name: str) -> None:
    declared = registry[name]
    arguments = written(getattr(torch.nn.functional, name))
    more = declared.functional or declared.signature
    assert declared.required() == arguments[: len(declared.required())]
    assert list(more) == arguments[len(declared.required()) :]


@pytest.mark.parametrize("name", TORCHS)
def test_defaults_are_torchs(name: str) -> None:
    declared = registry[name]
    arguments = inspect.signature(getattr(torch.nn, declared.__name__)).parameters
    for key, param in declared.params.items():
        if param.type is str:  # a name here, a function there
            assert arguments[key].default is None
            continue
        assert param.default == arguments[key].default
        assert param.type is type(arguments[key].default)
    for key in {*declared.optional()} & {*declared.signature}:
        assert arguments[key].default is None
    assert declared.params.keys() <= named(declared.signature)
    assert set(declared.optional()) <= {*declared.signature, *declared.functional}


@pytest.mark.parametrize("name", registry)
def test_every_argument_means_something(name: str) -> None:
    declared = registry[name]
    known = {*declared.params, *declared.optional(), "size_average", "reduce", "reduction"}
    assert named(declared.signature) <= known | set(declared.unused)
    assert set(declared.unset) <= declared.params.keys()


@pytest.mark.parametrize("name", TORCHS)
def test_tensors_are_named_as_in_torch_functional(name: str) -> None:
    declared = registry[name]
    arguments = inspect.signature(getattr(torch.nn.functional, name)).parameters
    assert declared.required() == list(arguments)[: len(declared.required())]
    assert {*declared.optional(), *declared.params} <= set(arguments)
