"""Which settings of a run make sense: those of config.py, which are flags of train.py."""

import argparse
import math
from pathlib import Path

from util.flags import Parser, demand
from util.training.folds import numbers

# What train.py reads of config.py.
NAMES = """
name dataset ckpts_dir resume folds fold random_seed device precision compile sync_batchnorm
n_threads mapping leave_out width height sampling patient_cap flip rotation shift scale jitter
appearance augmentation_warmup_epochs size_warmup_epochs weights keep_weights backbone_weights
distil freeze thaw_epoch epochs batch_size lr optimizer weight_decay schedule warmup_epochs
lr_reduce_factor lr_reduce_patience choose early_stopping_patience loss_weights label_smoothing
clip_norm average_decay collapse_patience test_time_augmentation log_steps save_minutes
"""

# What the code knows, whatever an edited annotation in config.py allows.
CHOICES = {
    "precision": ("auto", "float32", "bfloat16", "float16"),
    "sampling": ("shuffle", "balanced", "balanced_source", "tempered_source", "mixed_sources"),
    "optimizer": ("adamw", "adam", "muon"),
    "schedule": ("cosine", "plateau"),
    "choose": ("macro_f1", "within_source_auroc", "macro_auroc", "loss"),
}


def check_settings(parser: Parser, cfg: argparse.Namespace) -> None:
    """Ends with one line and status 2 if a value is out of its range or makes no sense, or if
    config.py lacks a name or has another one.

    Flags of a run that goes on are not checked against config.py's other settings: the run has its
    own.
    """
    found, wanted = vars(cfg).keys() - {"given"}, set(NAMES.split())
    wrong = [f"{name} is missing" for name in sorted(wanted - found)]
    wrong += [f"{name} is not a setting" for name in sorted(found - wanted)]
    if wrong:
        parser.error(f"config.py: {'; '.join(wrong)}; expected a line for each setting")
    for name, choices in CHOICES.items():
        if getattr(cfg, name) not in choices:
            found = f"--{name}: found {getattr(cfg, name)}"
            parser.error(f"{found}; expected one of {', '.join(choices)}")
    demand(parser, cfg, ("epochs", "batch_size", "log_steps", "early_stopping_patience"), 1)
    demand(parser, cfg, ("patient_cap", "thaw_epoch", "collapse_patience"), 1)
    demand(parser, cfg, ("folds",), 2)
    demand(parser, cfg, ("width", "height"), 32)
    demand(parser, cfg, ("lr", "clip_norm"), 1e-12)
    demand(parser, cfg, ("random_seed",), 0, 2**63 - 1)
    demand(parser, cfg, ("n_threads", "lr_reduce_patience", "save_minutes"), 0)
    demand(parser, cfg, ("warmup_epochs", "augmentation_warmup_epochs", "size_warmup_epochs"), 0)
    demand(parser, cfg, ("weight_decay", "rotation", "jitter"), 0)
    demand(parser, cfg, ("flip", "shift", "appearance", "label_smoothing"), 0, 1)
    if not 0 <= cfg.lr_reduce_factor < 1:
        parser.error(f"--lr-reduce-factor: found {cfg.lr_reduce_factor}; expected 0 to below 1")
    if not 0 <= cfg.keep_weights < 1:
        parser.error(f"--keep-weights: found {cfg.keep_weights}; expected 0 to below 1")
    decay = cfg.average_decay
    if decay is not None and not 0 < decay < 1:
        parser.error(f"--average-decay: found {decay}; expected between 0 and 1, or none")
    low, high = cfg.scale
    if not 0 < low <= high < math.inf:
        parser.error(f"--scale: found {low} {high}; expected the smallest factor, then the largest")
    costs = cfg.loss_weights if isinstance(cfg.loss_weights, list) else [1]
    if not all(0 <= cost < math.inf for cost in costs) or not any(costs):
        found = " ".join(map(str, costs))
        parser.error(f"--loss-weights: found {found}; expected 0 or more, and not all of them 0")
    if cfg.fold:
        try:
            numbers(cfg.fold)
        except ValueError as error:
            parser.error(f"--fold: {error}")
    if cfg.name in {"", ".", ".."} or set(cfg.name) & set("/\\"):
        parser.error(f"--name: found '{cfg.name}'; expected a folder's name. See --ckpts-dir")
    run = Path(cfg.ckpts_dir, cfg.name)
    if not (cfg.resume and [*run.glob("last.pth"), *run.glob("fold-*/last.pth")]):
        _check_together(parser, cfg)


def _check_together(parser: Parser, cfg: argparse.Namespace) -> None:
    """Settings that do nothing beside another one."""
    if cfg.schedule == "plateau" and "warmup_epochs" in cfg.given:
        parser.error("--warmup-epochs: plateau has no warm-up; leave it out")
    idle = cfg.given & {"lr_reduce_factor", "lr_reduce_patience"}
    if cfg.schedule == "cosine" and idle:
        flag = min(idle).replace("_", "-")
        parser.error(f"--{flag}: cosine waits for no standstill; give --schedule plateau with it")
    if cfg.weights and cfg.backbone_weights and "backbone_weights" in cfg.given:
        parser.error("--backbone-weights: the trunk is in --weights; leave one of them out")
    if cfg.keep_weights and not cfg.weights:
        parser.error("--keep-weights: found no --weights to keep; give them, or leave it out")
    if cfg.folds and cfg.fold:
        parser.error("--fold: found --folds, which trains all of them; leave one of them out")
    if cfg.distil and (cfg.folds or cfg.fold):
        found = "--distil: its networks have learned from the patients that a fold holds out"
        parser.error(f"{found}; leave --folds out")
    classes = len(set(cfg.mapping.values()))
    found = len(cfg.loss_weights) if isinstance(cfg.loss_weights, list) else classes
    if found > classes or (found < classes and not cfg.leave_out):  # which may take a class away
        found = f"found {found} numbers; expected {classes}"
        parser.error(f"--loss-weights: {found}, one for each class of --mapping")
    if cfg.patient_cap and cfg.sampling == "shuffle":
        parser.error("--patient-cap: shuffle shows every image; give --sampling balanced with it")
    if cfg.thaw_epoch and not cfg.freeze:
        parser.error("--thaw-epoch: found no block that is frozen; give --freeze with it")
    if cfg.thaw_epoch and cfg.thaw_epoch >= cfg.epochs:
        parser.error(f"--thaw-epoch: found {cfg.thaw_epoch}; expected less than --epochs")
