"""`lossd losses` in the terminal."""

import re

import pytest

import lossd.losses
from lossd.cli import main
from lossd.spec import registry


def test_every_loss_is_listed_once_under_its_family(capsys: pytest.CaptureFixture[str]) -> None:
    main(["losses"])
    text = capsys.readouterr().out
    names = [line.split()[0] for line in text.splitlines() if line.strip() and line[0] != " "]
    families = set(lossd.losses.__all__)
    assert families <= set(names)
    assert sorted(n for n in names if n not in families or n in registry) == sorted(registry)


@pytest.mark.parametrize("name", sorted(registry))
def test_one_loss_is_described(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["losses", name])
    text = capsys.readouterr().out
    loss = registry[name]
    assert text.startswith(f"{loss.__name__}  ({name}, {loss.library})")
    for key in [*loss.tensors, *loss.params, "sample_weight", "reduction", "normalizer"]:
        assert re.search(rf"^{key}\b", text, re.MULTILINE), key
    assert loss.formula in text
    assert all(equation in text for equation in loss.gradient)
    assert loss.reference in text


def test_an_unknown_name_is_told_what_it_may_have_been() -> None:
    with pytest.raises(SystemExit, match="did you mean 'cross_entropy'"):
        main(["losses", "crossentropy"])
