"""Every knob of a run: value, unit, why. `train.py` takes each as a flag: lr_reduce_patience = 5 is
--lr-reduce-patience 5, none is none, a list is words with spaces between."""

from typing import Literal

# ---- The run ----

# The run's folder below ckpts_dir. A folder that holds a run is only touched with resume.
name: str = "covidnext50"
# The folder that generate_dataset.py made.
dataset: str = "dataset"
# Where the folders of runs are.
ckpts_dir: str = "experiments"
# Go on with the run `name` from its last.pth, with the settings it was started with.
resume: bool = False
# Draws the weights, the order of the images and their augmentation. Same seed, same result.
random_seed: int = 1337
# auto takes CUDA, then Apple MPS, then the CPU; or cpu, cuda, cuda:1, mps.
device: str = "auto"
# Arithmetic of the training step. auto is bfloat16 where the device has it natively; else float16
# with scaling on CUDA, float32 elsewhere.
precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
# Let torch compile the network: slow to start, then faster on a GPU.
compile: bool = False
# One BatchNorm over all GPUs: for fewer than 8 images of a step on each.
sync_batchnorm: bool = False
# Processes that read images ahead, for each device; 0 reads in the main process. More use more
# memory.
n_threads: int = 2

# ---- Data ----

# Label -> class index. Labels may share an index; a label that is not here is not used.
mapping: dict[str, int] = {"normal": 0, "pneumonia": 1, "COVID-19": 2}
# Pixels across the network's input. Halving both sides makes a step nearly 4 times as fast. Moved
# training images stay sharp if the dataset's are 1.4 times as wide.
width: int = 256
# Pixels down the network's input.
height: int = 256
# shuffle shows each image once an epoch; balanced draws each class equally often, balanced_source
# each class of each source.
sampling: Literal["shuffle", "balanced", "balanced_source"] = "shuffle"
# balanced, balanced_source: as how many images of a class (and source) those of one patient count
# at most, or none.
patient_cap: int | None = None
# Probability of a mirror image.
flip: float = 0.5
# Degrees of rotation to either side. With random weights and 40 epochs, half of rotation, shift,
# scale and jitter overfitted real data, and half as much again learned too slowly.
rotation: float = 10.0
# Shift as a part of width and height.
shift: float = 0.08
# Smallest and largest factor of size.
scale: tuple[float, float] = (0.9, 1.15)
# Brightness and contrast, as a part of themselves: exposure differs between machines.
jitter: float = 0.3
# Epochs over which rotation, shift, scale and jitter grow from a fifth to the whole; 0: at once.
# For random weights; 25 of 40 epochs gained adamw 0.004 in AUROC and muon nothing (RESULTS.md).
augmentation_warmup_epochs: float = 0.0

# ---- Model ----

# Checkpoint of this project or of the original to start from; where the classes differ, the head
# is drawn anew.
weights: str | None = None
# What the trunk starts from: IMAGENET1K_V1 or IMAGENET1K_V2 (torchvision downloads them once), a
# file of torchvision's resnext50_32x4d, or none for random weights.
backbone_weights: str | None = "IMAGENET1K_V2"
# Blocks that stay as they are: block0 ... block4, backbone_end, logits, or none.
freeze: list[str] | None = None
# Epochs after which they are trained, too; none never.
thaw_epoch: int | None = None

# ---- Optimisation ----

# Passes over the training images.
epochs: int = 20
# Images a step, over all devices together. Let lr grow with its square root. With random weights
# and a rate of 1e-3, 16 scored as 32, and 64 ended at its loss (see benchmarks/RESULTS.md).
batch_size: int = 16
# Highest learning rate. 1e-4 suits pretrained weights; with random ones, 1e-3 adamw and 3e-3 muon.
lr: float = 1e-4
# adamw decays the weights apart from the gradient; adam is the original's; muon, for convolutions
# alone, makes more of few steps from random weights: macro F1 0.74 in place of 0.68 (two folds; it
# had the widest convolutions, too, see README).
optimizer: Literal["adamw", "adam", "muon"] = "adamw"
# Weight decay of the optimizer. 0.05 suits adamw, with which 1 scored alike; the original's adam
# had 1e-3.
weight_decay: float = 0.05
# cosine rises to lr, then falls to 0 over the run; plateau, the original's, waits for a standstill.
schedule: Literal["cosine", "plateau"] = "cosine"
# cosine: epochs over which the rate rises from 0.
warmup_epochs: float = 1.0
# plateau: what the rate is multiplied by at a standstill, below 1.
lr_reduce_factor: float = 0.7
# plateau: more epochs than this without a better validation macro F1 are a standstill.
lr_reduce_patience: int = 5
# Epochs without a better validation macro F1 after which the run stops; none never stops it.
early_stopping_patience: int | None = None
# What an error on each class costs: counts (inverse frequency in the epoch, so alike if sampling
# evens the classes), effective (less than that), one number per class, or none.
loss_weights: Literal["counts", "effective"] | list[float] | None = "counts"
# Part of the target spread over all classes; the labels are noisy (see README).
label_smoothing: float = 0.1
# Longest gradient; a longer one is shortened to it. none leaves it.
clip_norm: float | None = None
# Of the running average of the weights, the part that stays at each step; the average is what is
# validated and kept in best.pth. It spares the luck of the last steps, the more so the higher the
# rate. none keeps the weights themselves.
average_decay: float | None = 0.99
# Epochs in which every validation image is named alike, after which the run stops; none lets it be.
collapse_patience: int | None = 10

# ---- Prediction ----

# Evaluate and predict with the mean over an image, its mirror image and four small shifts of it, in
# six times the time, as is the last look of training. Of 15 networks with random weights and muon
# at 96 pixels all had a better AUROC, by 0.008 (RESULTS.md). Validation during training sees each
# image once. May be changed with resume.
test_time_augmentation: bool = False

# ---- Logging ----

# Steps between two points of the TensorBoard curve of the training loss, and between two looks
# whether the run has diverged, which wait for the device.
log_steps: int = 10
# Minutes between two saves of last.pth. What a killed run did after the last one is done again.
save_minutes: float = 5.0
