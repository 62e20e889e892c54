"""Every knob of a run: value, unit, why. `train.py` takes each as a flag: lr_reduce_patience = 5 is
--lr-reduce-patience 5, none is none, a list is words with spaces between."""

from typing import Literal

# ---- The run ----

# The run's folder in ckpts_dir. A folder that holds a run is only touched with resume.
name: str = "covidnext50"
# The folder that generate_dataset.py made.
dataset: str = "dataset"
# Where the folders of runs are.
ckpts_dir: str = "experiments"
# Go on with the run `name` from its last.pth, with the settings it was started with.
resume: bool = False
# Train so many networks, each without its own part of the patients of train and val. They are runs
# in fold-1, fold-2 ... of the run's folder; processes of torchrun share them out.
folds: int | None = None
# Train only one of them: 2/5 is the second of five.
fold: str | None = None
# Draws the weights, the order of the images and their augmentation. Same seed, same result.
random_seed: int = 1337
# auto takes CUDA, then Apple MPS, then the CPU; or cpu, cuda, cuda:1, mps.
device: str = "auto"
# Arithmetic of training: auto is bfloat16 where native, else float16 on CUDA, float32 elsewhere.
precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
# Let torch compile the network: slow to start, then faster on a GPU.
compile: bool = False
# BatchNorm statistics over all GPUs together: for fewer than 8 images of a step on each.
sync_batchnorm: bool = False
# Processes that read images ahead, for each device; 0 reads in the main process. Each takes memory.
n_threads: int = 2

# ---- Data ----

# Label -> class index. Labels may share an index; images of a label that is not here are not used.
mapping: dict[str, int] = {"normal": 0, "pneumonia": 1, "COVID-19": 2}
# Sources that training and validation do not see, as if of another hospital; evaluate.py tests
# on them. A class that only they have is not learned.
leave_out: list[str] | None = None
# Width of the network's input, pixels. A dataset of 1.4 times that size stays sharp when augmented.
width: int = 256
# Height of the network's input, pixels. Half of both makes a step nearly 4 times as fast.
height: int = 256
# shuffle: each image once; balanced: each class equally often; balanced_source: and each source;
# tempered_source: each class, and in it the sources by the square root of their images;
# mixed_sources: only images of sources with several classes.
sampling: Literal["shuffle", "balanced", "balanced_source", "tempered_source", "mixed_sources"] = (
    "shuffle"
)
# With balanced sampling: the most images of a class that one patient counts as; none: no limit.
patient_cap: int | None = None
# Probability of a mirror image.
flip: float = 0.5
# Largest rotation to either side, degrees: patients do not stand straight.
rotation: float = 10.0
# Largest shift, as a part of width and height.
shift: float = 0.08
# Smallest and largest factor of size.
scale: tuple[float, float] = (0.9, 1.15)
# Largest change of brightness and contrast, as a part of them: exposure differs between machines.
jitter: float = 0.3
# Strength of what differs between hospitals: sharpness, noise, tone, borders, letters; 0 to 1.
appearance: float = 0.0
# Epochs in which rotation, shift, scale, jitter and appearance grow from a fifth to all.
augmentation_warmup_epochs: float = 0.0
# Epochs in which width and height grow from half: the first then cost a quarter.
size_warmup_epochs: float = 0.0

# ---- Model ----

# Checkpoint or ONNX file to start from, pretrained, or none; other classes get a random head. Of
# a run with as many folds, each fold starts from its own.
weights: str | None = None
# Share of that network that stays in best.pth, 0 to below 1, so that fine-tuning unlearns less.
keep_weights: float = 0.0
# Start of the trunk: IMAGENET1K_V1, IMAGENET1K_V2 (downloaded once), a file, or none (random).
backbone_weights: str | None = "IMAGENET1K_V2"
# Folder of a run with folds to learn from, too, each image from the network that never saw its
# patient, as one that did may know it by heart; none: only from the labels.
distil: str | None = None
# Blocks that are not trained: some of block0 ... block4, backbone_end, logits, or none.
freeze: list[str] | None = None
# Epochs after which the frozen blocks are trained, too; none: never.
thaw_epoch: int | None = None

# ---- Optimisation ----

# Passes over the training images.
epochs: int = 20
# Images per step, over all devices together. Let lr grow with its square root.
batch_size: int = 16
# Highest learning rate. 1e-4 suits pretrained weights; random ones take 1e-3 (adamw), 3e-3 (muon).
lr: float = 1e-4
# adamw; adam, the original's; or muon for convolutions, which learns more from random weights.
optimizer: Literal["adamw", "adam", "muon"] = "adamw"
# Weight decay. 0.05 suits adamw; the original's adam had 1e-3.
weight_decay: float = 0.05
# cosine rises to lr and falls to 0; plateau, the original's, falls when the score stops rising.
schedule: Literal["cosine", "plateau"] = "cosine"
# cosine: epochs in which the rate rises from 0.
warmup_epochs: float = 1.0
# plateau: factor of the rate when the score has stopped rising, below 1.
lr_reduce_factor: float = 0.7
# plateau: epochs without a better validation score that the rate waits before it falls.
lr_reduce_patience: int = 5
# Validation score that chooses best.pth. within_source_auroc: over pairs of films of one source.
choose: Literal["within_source_auroc", "macro_f1", "macro_auroc", "loss"] = "macro_f1"
# Epochs without a better validation score after which the run stops; none: it does not.
early_stopping_patience: int | None = None
# Cost of an error per class: counts (inverse frequency), effective (milder), numbers, or none.
loss_weights: Literal["counts", "effective"] | list[float] | None = "counts"
# Part of the target that is spread over all classes: the labels are noisy.
label_smoothing: float = 0.1
# Longest gradient; a longer one is shortened to it. none: no limit.
clip_norm: float | None = None
# Part of the weights' running average, kept in best.pth, that stays at a step; none: no average.
average_decay: float | None = 0.99
# Epochs with one class for every validation image after which the run stops; none: it does not.
collapse_patience: int | None = 10

# ---- Prediction ----

# Predict the mean over 6 mirrored and shifted views, in 6 times the time. May change with resume.
test_time_augmentation: bool = False

# ---- Logging ----

# Steps between two points of the training loss in TensorBoard, and two checks that it is finite.
log_steps: int = 10
# Minutes between two saves of last.pth; a killed run does again what it did after the last one.
save_minutes: float = 5.0
