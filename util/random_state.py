"""Random states: what it takes for a run to go on as if it had not been stopped."""

from typing import Any

import torch


def rng_state() -> dict[str, Any]:
    """The states of torch's generators, as tensors. Nothing in a run draws from another."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_rng_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
