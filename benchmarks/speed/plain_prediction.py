"""Predicts as the script of 2020 and most notebooks do: full-size RGB, float32, NCHW.

python3 -m benchmarks.speed.plain_prediction CHECKPOINT SIZE BATCH IMAGE ...
"""

import sys

import torch
from PIL import Image
from torchvision import transforms

from benchmarks.speed.plain_network import plain_network


def main() -> None:
    checkpoint, size, batch, *files = sys.argv[1:]
    size, batch = int(size), int(batch)
    content = torch.load(checkpoint, map_location="cpu")
    model = plain_network(len(content["mapping"]))
    model.load_state_dict(content["state_dict"])
    model.eval()
    transform = transforms.Compose([transforms.Resize((size, size)), transforms.ToTensor()])
    with torch.no_grad():
        for start in range(0, len(files), batch):
            part = files[start : start + batch]
            images = torch.stack([transform(Image.open(file).convert("RGB")) for file in part])
            for file, chances in zip(part, model(images).softmax(1), strict=True):
                print(file, int(chances.argmax()), chances.tolist())


if __name__ == "__main__":
    main()
