# make demo: the whole job on drawn sample data. make test: all tests. make page: a page for
# predictions, CHECKPOINT=FILE for another network. make pretrained: the network of pretrained/, see
# recipe.mk there. Each makes .venv first.
PYTHON ?= python3
PY := .venv/bin/python
DEMO := dataset/demo
RUN := experiments/demo

.PHONY: demo test page pretrained

demo: .venv/installed
	rm -rf $(DEMO) $(DEMO)-raw $(RUN)
	$(PY) generate_dataset.py $(DEMO) --sample --size 64 --test-size 0.15 --val-size 0.15
	$(PY) train.py --dataset $(DEMO) --name demo --backbone-weights none --width 64 --height 64 \
		--epochs 6 --batch-size 16 --lr 1e-3 --average-decay 0.95 --label-smoothing 0 \
		--rotation 5 --shift 0.04 --scale 0.95 1.05 --jitter 0.1
	$(PY) evaluate.py $(RUN)/best.pth
	@echo "Five images of the test split, one line each:"
	$(PY) minimal_prediction.py --checkpoint $(RUN)/best.pth \
		$$(ls $(DEMO)/test/*.png | awk 'NR % 18 == 1')
	@echo "Report: $(RUN)/evaluation-test/report.html"

test: .venv/installed-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pytest -n auto --dist worksteal

page: .venv/installed
	$(PY) webpage.py $(if $(CHECKPOINT),--checkpoint $(CHECKPOINT))

include pretrained/recipe.mk

.venv/installed: requirements.txt requirements-predict.txt
	$(PYTHON) -m venv .venv
	$(PY) -m pip install -q -r requirements.txt
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(PY) -m pip install -q -r requirements-dev.txt
	touch $@
