"""COVIDNext50 against the network of 2020, written out here tensor by tensor."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from model.covidnext50 import COVIDNext50
from model.layers import Block
from tests.helpers.networks import NarrowNext

STAGES = {"block1": (3, 64, 256), "block2": (4, 256, 512), "block3": (6, 512, 1024),
          "block4": (3, 1024, 2048)}  # name: blocks, channels in, channels out  # fmt: skip
HEAD = ((2048, 512, 3), (512, 1024, 1), (1024, 512, 3))  # channels in, channels out, kernel


def original_state(n_classes=3):
    """A state_dict with the names and shapes of the checkpoint of 2020, values drawn at random."""
    state = {}
    generator = torch.Generator().manual_seed(0)

    def conv(name, n_out, n_in, kernel):
        fan = n_in * kernel * kernel
        shape = (n_out, n_in, kernel, kernel)
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / fan) ** 0.5

    def norm(name, n):
        state[f"{name}.weight"] = 0.5 + torch.rand(n, generator=generator)
        state[f"{name}.bias"] = torch.randn(n, generator=generator) * 0.1
        state[f"{name}.running_mean"] = torch.randn(n, generator=generator) * 0.1
        state[f"{name}.running_var"] = 0.5 + torch.rand(n, generator=generator)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("block0.module.0", 64, 3, 7)
    norm("block0.module.1", 64)
    for stage, (blocks, n_in, n_out) in STAGES.items():
        middle = n_out // 2  # 32 groups of width 4, 8, 16, 32
        for k in range(blocks):
            name = f"{stage}.module.{k}"
            first = n_in if k == 0 else n_out
            conv(f"{name}.conv1", middle, first, 1)
            norm(f"{name}.bn1", middle)
            conv(f"{name}.conv2", middle, middle // 32, 3)
            norm(f"{name}.bn2", middle)
            conv(f"{name}.conv3", n_out, middle, 1)
            norm(f"{name}.bn3", n_out)
            if k == 0:
                conv(f"{name}.downsample.0", n_out, n_in, 1)
                norm(f"{name}.downsample.1", n_out)
    for k, (n_in, n_out, kernel) in enumerate(HEAD):
        conv(f"backbone_end.module.{k}.0", n_out, n_in, kernel)
        norm(f"backbone_end.module.{k}.1", n_out)
    state["logits.module.weight"] = torch.randn(n_classes, 512, generator=generator)
    state["logits.module.bias"] = torch.randn(n_classes, generator=generator)
    return state


def reference(state, x):
    """The forward pass in plain functions."""

    def norm(name, x):
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{name}.{part}"] for part in names))

    def conv(name, x, **settings):
        return F.conv2d(x, state[f"{name}.weight"], **settings)

    x = F.relu(norm("block0.module.1", conv("block0.module.0", x, stride=2, padding=3)))
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    for stage, (blocks, _, _) in STAGES.items():
        for k in range(blocks):
            name = f"{stage}.module.{k}"
            stride = 2 if k == 0 and stage != "block1" else 1
            y = F.relu(norm(f"{name}.bn1", conv(f"{name}.conv1", x)))
            y = conv(f"{name}.conv2", y, stride=stride, padding=1, groups=32)
            y = norm(f"{name}.bn3", conv(f"{name}.conv3", F.relu(norm(f"{name}.bn2", y))))
            if k == 0:
                x = norm(f"{name}.downsample.1", conv(f"{name}.downsample.0", x, stride=stride))
            x = F.relu(x + y)
    for k, (_, _, kernel) in enumerate(HEAD):
        name = f"backbone_end.module.{k}"
        x = F.leaky_relu(norm(f"{name}.1", conv(f"{name}.0", x, padding=kernel // 2)), 0.1)
    return F.linear(x.mean((2, 3)), state["logits.module.weight"], state["logits.module.bias"])


@pytest.fixture(scope="module")
def state():
    return original_state()


@pytest.fixture(scope="module")
def model(state):
    with torch.device("meta"):  # no time spent on random weights
        model = COVIDNext50(3)
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval()


@pytest.fixture
def narrow():
    return NarrowNext(3)


def test_the_originals_338_names_load_strictly_as_37665603_parameters(state, model):
    assert len(state) == 338
    assert list(model.state_dict()) == list(state)
    assert sum(p.numel() for p in model.parameters()) == 37_665_603


@torch.no_grad()
def test_logits_agree_with_the_reference_network_for_a_batch_and_for_one_image(state, model):
    x = torch.randn(3, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    wanted = reference(state, x)
    assert wanted.std() > 0.05  # else agreement would say little
    features = model.features(x)
    assert features.shape == (3, 512)
    for logits in (model(x), torch.cat([model(one[None]) for one in x]), model.logits(features)):
        torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)


def test_a_frozen_block_keeps_every_tensor_in_training_and_the_others_move(narrow):
    narrow.freeze(["block0", "block3"])
    before = {name: tensor.clone() for name, tensor in narrow.state_dict().items()}
    narrow.train()
    optimizer = torch.optim.SGD([p for p in narrow.parameters() if p.requires_grad], lr=0.1)
    narrow(torch.randn(2, 3, 64, 64)).square().sum().backward()
    optimizer.step()
    after = narrow.state_dict()
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in kept if name.startswith(("block0", "block3"))} == {
        name for name in before if name.startswith(("block0", "block3"))
    }
    assert not {"block1.module.0.bn1.running_mean", "logits.module.weight"} & kept


def test_frozen_batchnorm_stays_in_eval_through_train_and_eval(narrow):
    narrow.freeze(["block2"])
    narrow.eval()
    narrow.train()
    modes = {
        name: m.training for name, m in narrow.named_modules() if isinstance(m, nn.BatchNorm2d)
    }
    assert not any(mode for name, mode in modes.items() if name.startswith("block2"))
    assert all(mode for name, mode in modes.items() if not name.startswith("block2"))


def test_freezing_an_unknown_block_names_the_known_ones(narrow):
    with pytest.raises(ValueError, match=r"found layer4; expected some of block0, .*, logits"):
        narrow.freeze(["block1", "layer4"])
    assert not any(block.frozen for block in narrow.modules() if isinstance(block, Block))


def test_trunk_weights_arrive_in_the_blocks(state):
    trunk = {
        name.replace("block0.module.0", "conv1")
        .replace("block0.module.1", "bn1")
        .replace("block", "layer")
        .replace(".module", ""): tensor
        for name, tensor in state.items()
        if name.startswith("block")
    }
    model = COVIDNext50(4, trunk)
    assert torch.equal(model.block0.module[0].weight, trunk["conv1.weight"])
    assert torch.equal(model.block4.module[2].bn3.running_var, trunk["layer4.2.bn3.running_var"])
    assert model(torch.randn(1, 3, 64, 64)).shape == (1, 4)
