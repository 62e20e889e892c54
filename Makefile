# make demo: the whole job on drawn sample data. make test: the test suite. Both make .venv first.
PYTHON ?= python3
BIN := .venv/bin
DEMO := dataset/demo
RUN := experiments/demo

.PHONY: demo test lint

demo: .venv/installed
	rm -rf $(DEMO) $(DEMO)-raw $(RUN)
	$(BIN)/python generate_dataset.py $(DEMO) --sample --size 64 --test-size 0.15 --val-size 0.15
	$(BIN)/python train.py --dataset $(DEMO) --name demo --backbone-weights none --width 64 --height 64 \
		--epochs 10 --batch-size 32 --lr 1e-3
	$(BIN)/python evaluate.py $(RUN)/best.pth
	$(BIN)/python minimal_prediction.py --checkpoint $(RUN)/best.pth $(DEMO)-raw/rsna-pneumonia-detection-challenge/stage_2_train_images

test: .venv/installed-dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m pytest -n auto

lint: .venv/installed-dev
	$(BIN)/python -m ruff check .

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -r requirements.txt
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(BIN)/python -m pip install -q -r requirements-dev.txt
	touch $@
