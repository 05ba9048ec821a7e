"""Declared constructor signatures are those of torch.nn."""

import inspect

import pytest
import torch.nn

import lossd.losses  # noqa: F401  fills the registry
from lossd.spec import registry

# those that hold parameters are written by hand: tests/service/test_owning.py
TORCHS = [n for n, loss in registry.items() if loss.library == "torch.nn" and not loss.owned]


@pytest.mark.parametrize("name", TORCHS)
def test_constructor_signature_is_torchs(name: str) -> None:
    declared = registry[name]
    arguments = inspect.signature(getattr(torch.nn, declared.__name__)).parameters
    assert declared.signature == tuple(arguments)


@pytest.mark.parametrize("name", TORCHS)
def test_function_signature_is_torchs(name: str) -> None:
    declared = registry[name]
    arguments = inspect.signature(getattr(torch.nn.functional, name)).parameters
    if declared.functional:
        assert [*declared.required(), *declared.functional] == list(arguments)


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
    assert declared.params.keys() <= set(declared.signature)
    assert set(declared.optional()) <= {*declared.signature, *declared.functional}


@pytest.mark.parametrize("name", registry)
def test_every_argument_means_something(name: str) -> None:
    declared = registry[name]
    known = {*declared.params, *declared.optional(), "size_average", "reduce", "reduction"}
    assert set(declared.signature) <= known


@pytest.mark.parametrize("name", TORCHS)
def test_tensors_are_named_as_in_torch_functional(name: str) -> None:
    declared = registry[name]
    arguments = inspect.signature(getattr(torch.nn.functional, name)).parameters
    assert declared.required() == list(arguments)[: len(declared.required())]
    assert {*declared.optional(), *declared.params} <= set(arguments)
